import { useConnection } from '@courant/react';
import { LogOut } from 'lucide-react';
import { signOut } from '../session/session.ts';
import { Logo } from '../ui/Logo.tsx';
import { ThemeToggle } from '../ui/ThemeToggle.tsx';
import { ConnectionBadge } from './ConnectionBadge.tsx';
import { home } from './route.ts';

export function Header() {
  const state = useConnection();
  return (
    <header className="header">
      <div className="header-in">
        <a href={home} className="header-home" aria-label="Courant, all jobs">
          <Logo />
        </a>
        <div className="header-side">
          <ConnectionBadge />
          <span className="header-user" title="Signed in as">
            {state.status === 'connected' ? state.user : ''}
          </span>
          <ThemeToggle />
          <button
            type="button"
            className="button icon"
            onClick={() => signOut()}
            aria-label="Sign out"
            title="Sign out"
            data-testid="sign-out"
          >
            <LogOut aria-hidden="true" />
          </button>
        </div>
      </div>
    </header>
  );
}
