import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App.tsx';
import { takeTokenFromAddress } from './session/session.ts';
import { ErrorBoundary } from './shell/ErrorBoundary.tsx';
import './styles/tokens.css';
import './styles/base.css';
import './styles/header.css';
import './styles/nav.css';
import './styles/shell.css';
import './styles/badge.css';
import './styles/toasts.css';
import './styles/signin.css';
import './styles/upload.css';
import './styles/upload-options.css';
import './styles/cards.css';
import './styles/notes.css';
import './styles/jobs.css';
import './styles/progress.css';
import './styles/strip.css';
import './styles/stages.css';
import './styles/job-head.css';
import './styles/batch.css';
import './styles/detail.css';
import './styles/outputs.css';
import './styles/reader.css';
import './styles/viewer.css';
import './styles/zones.css';
import './styles/page-text.css';
import './styles/popover.css';
import './styles/devices.css';
import './styles/notifications.css';
import './styles/filters.css';
import './styles/history.css';
import './styles/queue.css';
import './styles/webhooks.css';
import './styles/admin.css';
import './styles/touch.css';
import './styles/forced.css';

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
