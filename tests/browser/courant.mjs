// What the stories of a file share: a running `courant up`, a browser, and users who sign in.

import { after, afterEach, before } from 'node:test';

import { connected, openBrowser, openPage } from './page.mjs';
import { Up } from './up.mjs';

/**
 * Starts `courant up` and a browser before the stories of a `describe`, and ends both after them; to be called in it. Stories are
 * apart by their users, not by servers. `flags` are more flags of `courant up`, or a function that gives them.
 */
export function startCourant(flags = []) {
  const courant = new Courant();
  before(async () => {
    const given = typeof flags === 'function' ? await flags() : flags;
    [courant.up, courant.browser] = await Promise.all([Up.start(...given), openBrowser()]);
  });
  // A page that stays open goes on ticking and drawing beside the stories after its own.
  afterEach(() => Promise.all(courant.browser.contexts().map((context) => context.close())));
  after(async () => {
    await courant.browser?.close();
    await courant.up?.kill();
  });
  return courant;
}

class Courant {
  up;
  browser;

  /**
   * A page of this user in a browser context of its own, connected. `port`: of a proxy or of another bridge. `prepare` is called with
   * the page before it is opened. All other options are those of the context.
   */
  async signIn(user, { port = this.up.http, role, ttl, prepare, ...options } = {}) {
    const page = await openPage(this.browser, options);
    await prepare?.(page);
    const flags = [...(role ? ['--role', role] : []), ...(ttl ? ['--ttl', ttl] : [])];
    page.link = this.up.linkFor(user, ...flags).replace(`:${this.up.http}`, `:${port}`);
    await page.goto(page.link);
    await connected(page);
    return page;
  }
}
