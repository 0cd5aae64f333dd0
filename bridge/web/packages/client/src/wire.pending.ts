/**
 * What the bridge sends and `wire.generated.ts` does not name yet. To be dropped when that file is made anew.
 */
import type * as wire from './wire.generated.ts';

export type Limits = wire.Limits & {
  /** How many messages of the client may come at once. */
  readonly messageBurst?: number | null;
};
