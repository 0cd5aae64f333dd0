import { type FormEvent, useState } from 'react';
import { Logo } from '../ui/Logo.tsx';
import { ThemeToggle } from '../ui/ThemeToggle.tsx';
import { parseToken, signIn } from './session.ts';

export function SignIn({ notification }: { readonly notification: string | null }) {
  const [pasted, setPasted] = useState('');
  const [problem, setProblem] = useState<string | null>(null);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = parseToken(pasted);
    if (token === null) setProblem('This is not a valid token.');
    else signIn(token);
  };
  const message = problem ?? notification;
  // A session that is over is nobody's mistake: only what was typed here can be wrong.
  const wrong = problem !== null;

  return (
    <main className="signin">
      <div className="signin-corner">
        <ThemeToggle />
      </div>
      <form className="signin-card" onSubmit={submit} aria-labelledby="signin-title">
        <Logo large />
        <h1 id="signin-title">Sign in</h1>
        <p className="muted">
          Open the link that <code>courant up</code> prints, or paste a token from <code>courant token</code>.
        </p>
        <label htmlFor="token">Token or link</label>
        <input
          id="token"
          type="password"
          autoComplete="off"
          spellCheck={false}
          required
          data-testid="signin-token"
          placeholder="eyJ…"
          aria-invalid={wrong}
          aria-describedby="signin-message"
          value={pasted}
          onChange={(event) => {
            setPasted(event.target.value);
            setProblem(null);
          }}
        />
        <div id="signin-message" className="signin-message" data-tone={message === null ? 'plain' : 'bad'}>
          <p role="alert" data-testid="signin-message">
            {message}
          </p>
          {message === null && <p>The token stays in this tab and is forgotten when you close it.</p>}
        </div>
        <button type="submit" className="button primary" data-testid="signin-submit">
          Sign in
        </button>
      </form>
    </main>
  );
}
