import { useConnection, useCourant } from '@courant/react';
import { LogOut, Search } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { Bell } from '../notifications/Bell.tsx';
import { endSession } from '../session/end-session.ts';
import { Logo } from '../ui/Logo.tsx';
import { ThemeToggle } from '../ui/ThemeToggle.tsx';
import { ConnectionBadge } from './ConnectionBadge.tsx';
import { home, searchHref } from './route.ts';

export function Header() {
  const client = useCourant();
  const user = useUser();
  return (
    <header className="header">
      <a href={home} className="header-home" aria-label="Courant, all jobs">
        <Logo />
      </a>
      <SearchBox />
      <div className="header-side">
        <ConnectionBadge />
        <Bell />
        <ThemeToggle />
        <span className="header-user" title="Signed in as">
          {user}
        </span>
        <button
          type="button"
          className="button icon"
          onClick={() => void endSession(client)}
          aria-label="Sign out"
          title="Sign out"
          data-testid="sign-out"
        >
          <LogOut aria-hidden="true" />
        </button>
      </div>
    </header>
  );
}

/** Who is signed in. Stays while the connection is away, so that nothing beside it moves. */
function useUser(): string {
  const state = useConnection();
  const known = state.status === 'connected' ? state.user : '';
  const [last, remember] = useState(known);
  if (known !== '' && known !== last) remember(known);
  return known || last;
}

const editable = 'input, textarea, select, [contenteditable]';

/** Leads to the history; `/` comes here from anywhere. */
function SearchBox() {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const typing = event.target instanceof Element && event.target.matches(editable);
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener('keydown', focus);
    return () => removeEventListener('keydown', focus);
  }, []);
  return (
    <search className="header-search">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          location.hash = searchHref(input.current?.value.trim() ?? '');
          if (input.current) input.current.value = '';
        }}
      >
        <Search aria-hidden="true" />
        <input
          ref={input}
          type="search"
          placeholder="Find a job"
          aria-label="Find a job by name or id"
          aria-keyshortcuts="/"
          data-testid="search"
        />
        <span className="kbd" aria-hidden="true">
          /
        </span>
      </form>
    </search>
  );
}
