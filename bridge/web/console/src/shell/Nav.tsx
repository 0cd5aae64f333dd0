import { isFinished } from '@courant/client';
import { useConnection, useJobs } from '@courant/react';
import { Activity, FileStack, History, ListOrdered, Webhook } from 'lucide-react';
import { adminPage, historyPage, home, queuePage, type Route, webhooksPage } from './route.ts';

const navItems = [
  { page: 'home', href: home, label: 'Jobs', icon: FileStack, also: ['job', 'batch'] },
  { page: 'history', href: historyPage, label: 'History', icon: History, also: [] },
  { page: 'queue', href: queuePage, label: 'Queue', icon: ListOrdered, also: [] },
  { page: 'webhooks', href: webhooksPage, label: 'Webhooks', icon: Webhook, also: [] },
  { page: 'admin', href: adminPage, label: 'System', icon: Activity, also: [] },
] as const;

/** The main views of the console: a rail beside the page, or a bar below it on a phone. */
export function Nav({ route }: { readonly route: Route }) {
  const isAdmin = useIsAdmin();
  const active = useJobs({ minIntervalMs: 250 }).jobs.filter(({ job }) => !isFinished(job)).length;
  return (
    <nav className="nav" aria-label="Main">
      <ul>
        {navItems
          .filter(({ page }) => page !== 'admin' || isAdmin)
          .map(({ page, href, label, icon: Icon, also }) => {
            const here = route.page === page || (also as readonly string[]).includes(route.page);
            return (
              <li key={page}>
                <a
                  href={href}
                  className="nav-link"
                  aria-current={here ? (route.page === page ? 'page' : 'true') : undefined}
                  data-testid={`nav-${page}`}
                >
                  <Icon aria-hidden="true" />
                  <span className="nav-label">{label}</span>
                  {page === 'home' && active > 0 && (
                    <span className="nav-count">
                      {active}
                      <span className="hidden"> under way</span>
                    </span>
                  )}
                </a>
              </li>
            );
          })}
      </ul>
    </nav>
  );
}

/** Whether this person may see the system. Stays as it was while the connection is away, so that nothing flickers. */
let wasAdmin = false;
export function useIsAdmin(): boolean {
  const state = useConnection();
  if (state.status === 'connected') wasAdmin = state.roles.includes('admin');
  return wasAdmin;
}
