/** Where the bridge is, and the token to show there. The calls themselves are in `calls.ts`. */
import type { TokenProvider } from './credentials.ts';
import { CourantError } from './errors.ts';

export interface HttpOptions {
  /** The bridge's address, for example `https://courant.example/`. */
  readonly base: string;
  readonly token: TokenProvider;
  readonly fetch: typeof fetch;
  readonly resumableFrom: number;
}

export class Http {
  readonly fetch: typeof fetch;
  /** Documents of so many bytes and more are uploaded so that they go on after a cut. */
  readonly resumableFrom: number;
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.fetch = options.fetch;
    this.resumableFrom = options.resumableFrom;
  }

  /** The absolute address of a path below the bridge. */
  url(path: string): string {
    const { base } = this.#options;
    return new URL(path, base.endsWith('/') ? base : `${base}/`).href;
  }

  async token(): Promise<string> {
    const token = await this.#options.token();
    if (token === null) throw new CourantError('TOKEN_MISSING', 'sign in first');
    return token;
  }
}
