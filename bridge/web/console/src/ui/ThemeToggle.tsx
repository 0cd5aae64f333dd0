import { Moon, Sun, SunMoon } from 'lucide-react';
import { useState } from 'react';

type Theme = 'system' | 'light' | 'dark';
const next: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const icons = { system: SunMoon, light: Sun, dark: Moon };

function current(): Theme {
  const theme = document.documentElement.dataset['theme'];
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

function apply(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    localStorage.setItem('courant.theme', theme);
  } catch {
    // Storage is switched off: the choice lasts until a reload.
  }
}

export function ThemeToggle() {
  const [theme, setTheme] = useState(current);
  const Icon = icons[theme];
  const label = `Theme: ${theme}. Switch to ${next[theme]}.`;
  const toggle = () => {
    apply(next[theme]);
    setTheme(next[theme]);
  };
  return (
    <button
      type="button"
      className="button icon"
      onClick={toggle}
      aria-label={label}
      title={label}
      data-testid="theme-toggle"
    >
      <Icon aria-hidden="true" />
    </button>
  );
}
