/** Who uses the client, and on which device. */

/** Gives a token, a new one where possible. `null`: there is none, the user must sign in. */
export type TokenProvider = () => string | null | Promise<string | null>;

/** The device a client runs on, as its owner sees it among the others. */
export interface Device {
  /** The same whenever it connects: 1 to 64 of `[A-Za-z0-9._-]`. */
  readonly id: string;
  /** For people, at most 64 characters. */
  readonly name?: string;
}
