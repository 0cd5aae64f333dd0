/**
 * One connection to the bridge that comes back by itself: opens, authenticates, notifications death, waits and tries again.
 * Knows nothing of topics and jobs. Holds at most one socket; messages of an older one are ignored.
 */
import type { Device, TokenProvider } from './credentials.ts';
import type { decode } from './decode.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Connected, Limits, ServerMessage } from './messages.ts';
import { online, watchNetwork } from './network.ts';
import { RateLimiter } from './rate-limiter.ts';
import { closeSilently, type SocketLike } from './socket.ts';
import { backoffMs, type Cause, type ConnectionState, closeAction } from './state.ts';
import { Timer } from './timer.ts';
import type { Transport } from './transport.ts';
import { TransportFallback } from './transport-fallback.ts';
import { UpgradeProbe } from './upgrade-probe.ts';

export interface ConnectionOptions {
  /** Best first. */
  readonly transports: readonly Transport[];
  readonly token: TokenProvider;
  /** What to call this device. */
  readonly device: () => Promise<Device | undefined>;
  /** 0 to 1; for tests. */
  readonly random: () => number;
  /** The ceiling of the first wait. */
  readonly backoffFirstMs: number;
  /** The ceiling of all waits. */
  readonly backoffMaxMs: number;
  /** From opening to `connected`. */
  readonly connectTimeoutMs: number;
}

export interface ConnectionHandlers {
  readonly onState: (state: ConnectionState) => void;
  /** Authenticated: commands can be sent. */
  readonly onReady: (limits: Limits) => void;
  /** All messages but those of the connection itself. */
  readonly onMessage: (message: ServerMessage) => void;
  /** A message that could not be read: a fault of the bridge or of this client. */
  readonly onBroken: (reason: string) => void;
}

/** A connection that lived this long was a good one: the next wait starts small again. */
const stableMs = 5_000;
/** One that lived this long was not closed for what it sent at its beginning: the next one is as fast as allowed again. */
const calmMs = 60_000;
/** So many times in a row too slow to sign in (4408), and no other try would be faster. */
const mostTooSlow = 5;
/** Tokens are not renewed more often; before the end of one that lives shorter the bridge asks for the next. */
const soonestRenewalMs = 5_000;

export class Connection {
  /** Everything that is sent counts for it. */
  readonly rateLimiter = new RateLimiter();
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #retry = new Timer();
  readonly #opening = new Timer();
  readonly #stable = new Timer();
  readonly #renew = new Timer();
  readonly #heartbeat: Heartbeat;
  readonly #upgradeProbe = new UpgradeProbe();
  readonly #fallback: TransportFallback;
  #state: ConnectionState = { status: 'disconnected' };
  #unwatch: (() => void) | null = null;
  #socket: SocketLike | null = null;
  /** Grows with every try, so that answers of an older one are recognised. */
  #run = 0;
  #attempt = 0;
  #decode: typeof decode | null = null;
  #token: string | null = null;
  #device: Device | undefined;
  #rejected: string | null = null;
  #closeReason: { readonly cause: Cause; readonly retryAfterMs: number } | null = null;
  /** No try before, not even when the network or the tab comes back: the bridge asked for it. Milliseconds since 1970. */
  #notBefore = 0;
  #readyAt = 0;
  /** Closes with 4408 in a row. */
  #tooSlow = 0;

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#fallback = new TransportFallback(options.transports);
    this.#heartbeat = new Heartbeat({
      sendPing: (id) => this.send({ id, type: 'ping' }),
      onDead: () => this.#lost({ code: 1006, reason: 'SILENT', message: 'the connection went silent' }),
      onLatency: (latencyMs) => this.#patch({ latencyMs }),
    });
  }

  get state(): ConnectionState {
    return this.#state;
  }

  connect(): void {
    if (this.#state.status !== 'disconnected' && this.#state.status !== 'failed') return;
    this.#unwatch ??= watchNetwork({
      onOnline: () => this.#retryNow(),
      onOffline: () => this.#probe(),
      onVisible: () => this.#retryNow(),
    });
    this.#attempt = 0;
    this.#tooSlow = 0;
    this.#rejected = null;
    this.#closeReason = null;
    this.#fallback.useBest();
    void this.#open();
  }

  /** Drops the connection and reconnects without waiting. */
  reconnect(): void {
    this.disconnect();
    this.connect();
  }

  disconnect(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    this.#teardown();
    this.#set({ status: 'disconnected' });
  }

  /** Sends a command if the connection is ready; says whether it did. */
  send(command: object): boolean {
    if (this.#state.status !== 'connected' || this.#socket === null) return false;
    this.rateLimiter.take();
    this.#socket.send(JSON.stringify(command));
    return true;
  }

  setStalled(stalled: boolean): void {
    this.#patch({ stalled });
  }

  async #open(): Promise<void> {
    this.#teardown();
    const run = this.#run;
    if (online()) this.#set({ status: 'connecting', attempt: this.#attempt });
    const timeout: Cause = { code: 1006, reason: 'TIMEOUT', message: 'the server did not answer in time' };
    this.#opening.set(this.#options.connectTimeoutMs, () => this.#lost(timeout));
    const [token, device, decode] = await Promise.all([
      this.#fetchToken(),
      this.#options.device(),
      this.#decode ?? import('./decode.ts').then(({ decode }) => decode).catch(() => null),
    ]);
    if (run !== this.#run || token === undefined) return;
    if (decode === null) {
      this.#lost({ code: 1006, reason: 'NETWORK', message: 'a part of the page could not be loaded' });
      return;
    }
    this.#decode = decode;
    if (token === null || token === this.#rejected) {
      this.#fail(
        this.#closeReason?.cause ?? { code: 4401, reason: 'TOKEN_MISSING', message: 'sign in first' },
      );
      return;
    }
    this.#closeReason = null;
    this.#token = token;
    this.#device = device;
    await this.#dial(run);
  }

  /** `undefined`: the provider failed and the loss is already dealt with. */
  async #fetchToken(): Promise<string | null | undefined> {
    const run = this.#run;
    try {
      return await this.#options.token();
    } catch (cause) {
      if (run === this.#run) {
        this.#lost({
          code: 1006,
          reason: 'TOKEN_UNAVAILABLE',
          message: `no token could be had: ${String(cause)}`,
        });
      }
      return undefined;
    }
  }

  async #dial(run: number): Promise<void> {
    let socket: SocketLike;
    try {
      socket = await this.#fallback.transport.open();
    } catch (cause) {
      if (run !== this.#run) return;
      const message = String(cause);
      if (this.#fallback.better) this.#lost({ code: 1006, reason: 'NETWORK', message });
      else this.#fail({ code: 4400, reason: 'BAD_ADDRESS', message });
      return;
    }
    if (run !== this.#run) {
      closeSilently(socket);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#auth));
    socket.onmessage = (event) => {
      if (run === this.#run) this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (run !== this.#run) return;
      this.#lost({ code: event.code, reason: event.reason || 'CLOSED', message: 'the connection was lost' });
    };
  }

  #receive(data: unknown): void {
    // Without a network this was on its way already: only the answer to the ping proves the connection.
    if (online()) this.#heartbeat.onMessage();
    // Loaded before the socket was opened.
    const decoded = this.#decode?.(data);
    if (decoded?.kind === 'broken') this.#handlers.onBroken(decoded.reason);
    if (decoded?.kind !== 'message') return;
    const { message } = decoded;
    switch (message.type) {
      case 'connected':
        this.#ready(message);
        return;
      case 'pong':
        this.#heartbeat.pong(message.id);
        return;
      case 'auth-error':
        this.#remember({ code: 4401, reason: message.code, message: message.message }, 0);
        return;
      case 'closing':
        this.#remember(message, message.retryAfterMs ?? 0);
        return;
      case 'auth-expiring':
        void this.#renewToken();
        return;
      case 'draining':
        return;
      default:
        this.#handlers.onMessage(message);
    }
  }

  /** The first word on why the connection is about to end counts; the close code may be lost on the way. */
  #remember({ code, reason, message }: Cause, retryAfterMs: number): void {
    this.#closeReason ??= { cause: { code, reason, message }, retryAfterMs };
  }

  #ready(message: Connected): void {
    const renewed = this.#state.status === 'connected';
    this.#opening.clear();
    this.#rejected = null;
    const { connectionId, deviceId, user, roles, tokenExpiresAt } = message;
    const before = this.#state.status === 'connected' ? this.#state : { latencyMs: null, stalled: false };
    const { latencyMs, stalled } = before;
    const { transport, fallback } = this.#fallback;
    const known = {
      connectionId,
      deviceId,
      user,
      roles,
      tokenExpiresAt,
      transport: transport.name,
      fallback,
    };
    this.#set({ status: 'connected', ...known, latencyMs, stalled });
    this.#planRenewal(tokenExpiresAt);
    if (renewed) return;
    this.#tooSlow = 0;
    this.#readyAt = performance.now();
    this.rateLimiter.start(message.limits);
    this.#probeLater();
    this.#stable.set(stableMs, () => {
      this.#attempt = 0;
    });
    this.#heartbeat.start(message.pingIntervalMs, message.pongTimeoutMs);
    this.#handlers.onReady(message.limits);
  }

  /** Asks for a new token a minute before the old one runs out, or after four fifths of a short life. */
  #planRenewal(expiresAt: string | null): void {
    if (expiresAt === null) return;
    const left = Date.parse(expiresAt) - Date.now();
    // Also where this clock is ahead of the server's, and each token looks as if it had run out.
    if (Number.isFinite(left))
      this.#renew.set(Math.max(left - 60_000, left * 0.8, soonestRenewalMs), () => void this.#renewToken());
  }

  async #renewToken(): Promise<void> {
    const run = this.#run;
    // A provider that fails now is asked again when the old token has run out.
    const token = await Promise.resolve(this.#options.token()).catch(() => null);
    if (run !== this.#run || token === null || token === this.#token) return;
    this.#token = token;
    this.send(this.#auth);
  }

  #lost(cause: Cause): void {
    const known = this.#closeReason;
    const why = known?.cause ?? cause;
    const wasConnected = this.#state.status === 'connected';
    const wasStable = wasConnected && !this.#stable.pending;
    if (wasConnected && performance.now() - this.#readyAt >= calmMs) this.rateLimiter.rateLimitCloses = 0;
    if (known === null) this.#fallback.onLoss(cause, wasStable);
    this.#teardown();
    this.#closeReason = { cause: why, retryAfterMs: 0 };
    switch (closeAction(why.code)) {
      case 'token':
        this.#tokenRefused(why, wasStable);
        return;
      case 'stop':
        this.#fail(why);
        return;
      case 'at-once':
        this.#wait(wasStable ? 0 : this.#backoff(), why);
        return;
      case 'backoff':
        if (why.code === 4408 && ++this.#tooSlow >= mostTooSlow) this.#fail(why);
        else this.#wait(this.#backoff(), why, Math.max(known?.retryAfterMs ?? 0, this.#calm(why)));
    }
  }

  /** After a close for too many messages, or connections: longer each time, whatever else happens. */
  #calm({ code }: Cause): number {
    if (code !== 4429) return 0;
    this.rateLimiter.rateLimitCloses += 1;
    const { random, backoffFirstMs, backoffMaxMs } = this.#options;
    const ceiling = Math.min(
      backoffMaxMs,
      backoffFirstMs * 2 ** Math.min(this.rateLimiter.rateLimitCloses, 30),
    );
    return (ceiling * (1 + random())) / 2;
  }

  /** Who one is, and on which device. */
  get #auth(): object {
    return { id: 0, type: 'auth', token: this.#token, device: this.#device };
  }

  /** Looks for the best transport while another is in use. Topics go on from their cursors: nothing is lost by it. */
  #probeLater(): void {
    const { better } = this.#fallback;
    if (better === null || this.#token === null) {
      this.#upgradeProbe.reset();
      return;
    }
    this.#upgradeProbe.start(better, this.#auth, () => {
      this.#fallback.useBest();
      void this.#open();
    });
  }

  /** Another token may be had: one try with it at once. A second refusal is final. One that is taken and refused then waits. */
  #tokenRefused(cause: Cause, wasStable: boolean): void {
    if (this.#rejected !== null) {
      this.#fail(cause);
      return;
    }
    this.#rejected = this.#token;
    if (!wasStable && this.#attempt > 0) this.#wait(this.#backoff(), cause);
    else {
      this.#attempt += 1;
      void this.#open();
    }
  }

  #backoff(): number {
    const { random, backoffFirstMs, backoffMaxMs } = this.#options;
    return backoffMs(this.#attempt, random, backoffFirstMs, backoffMaxMs);
  }

  /** Tries again in `ms`, and not before `atLeastMs` even if the network or the tab comes back meanwhile. */
  #wait(ms: number, cause: Cause, atLeastMs = 0): void {
    this.#attempt += 1;
    this.#notBefore = Date.now() + atLeastMs;
    // Even without a network a try now and then: what the browser says of it is not always true.
    const delay = Math.max(atLeastMs, online() ? ms : this.#options.backoffMaxMs);
    const retryAt = Date.now() + delay;
    this.#set(
      online() ? { status: 'reconnecting', attempt: this.#attempt, retryAt, cause } : { status: 'offline' },
    );
    this.#retry.set(delay, () => void this.#open());
  }

  #retryNow(): void {
    if (!this.#retry.pending) this.#probe();
    else if (Date.now() >= this.#notBefore) void this.#open();
    else this.#retry.set(this.#notBefore - Date.now(), () => void this.#open());
  }

  #probe(): void {
    if (this.#state.status === 'connected') this.#heartbeat.probe();
  }

  #fail(cause: Cause): void {
    this.#teardown();
    const { code, reason, message } = cause;
    this.#set({ status: 'failed', code, reason, message });
  }

  #teardown(): void {
    this.#run += 1;
    this.#heartbeat.stop();
    this.#upgradeProbe.stop();
    for (const timer of [this.#retry, this.#opening, this.#stable, this.#renew]) timer.clear();
    if (this.#socket !== null) closeSilently(this.#socket);
    this.#socket = null;
  }

  #patch(change: { latencyMs: number } | { stalled: boolean }): void {
    if (this.#state.status === 'connected') this.#set({ ...this.#state, ...change });
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#handlers.onState(state);
  }
}
