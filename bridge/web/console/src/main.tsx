import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App.tsx';
import { takeTokenFromAddress } from './session/session.ts';
import { ErrorBoundary } from './shell/ErrorBoundary.tsx';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/upload.css';
import './styles/jobs.css';
import './styles/detail.css';
import './styles/paper.css';
import './styles/pages.css';

// First of all: the token must not stay in the address bar or in the history.
takeTokenFromAddress();

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary>
      <App />
    </ErrorBoundary>
  </StrictMode>,
);
