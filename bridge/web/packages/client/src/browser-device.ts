/**
 * What this browser calls itself to the person it belongs to: a random id that it keeps, and the browser's and the system's
 * name. Loaded when the client connects.
 *
 * Privacy: the id is made here, means nothing elsewhere and is shown to nobody but the signed-in person (and to services
 * that ask whether that person is connected). It lies in `localStorage` under `courant.device` until the site's data is
 * cleared. `device: null` turns all of it off.
 */
import type { Device } from './credentials.ts';
import { newRequestId } from './request-id.ts';

const key = 'courant.device';
/** Without storage a page is a device of its own, for as long as it lives. */
let ofPage = '';

/** This browser. `undefined` where there is no page. */
export function browserDevice(): Device | undefined {
  if (globalThis.document === undefined) return undefined;
  const name = nameOf(navigator);
  return { id: kept(), ...(name === null ? {} : { name }) };
}

function kept(): string {
  ofPage ||= newRequestId();
  try {
    const known = localStorage.getItem(key);
    if (known !== null && /^[\w.-]{1,64}$/.test(known)) return known;
    localStorage.setItem(key, ofPage);
  } catch {
    // Storage is switched off.
  }
  return ofPage;
}

interface Agent {
  readonly userAgent: string;
  readonly userAgentData?: {
    readonly platform: string;
    readonly brands: readonly { readonly brand: string }[];
  };
}

/** The first that fits, most special first: each browser also names those it is like. */
const browsers: readonly (readonly [RegExp, string])[] = [
  [/Edg\w*\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/SamsungBrowser\//, 'Samsung Internet'],
  [/Firefox\/|FxiOS\//, 'Firefox'],
  [/Chrome\/|CriOS\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];
const systems: readonly (readonly [RegExp, string])[] = [
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
];

const first = (names: typeof browsers, text: string): string | null =>
  names.find(([sign]) => sign.test(text))?.[1] ?? null;

/** `Firefox on Linux`; coarse on purpose. */
export function nameOf({ userAgent, userAgentData }: Agent): string | null {
  // Browsers that tell their brands name themselves, what they are made of, and something to keep parsers honest.
  const brands = userAgentData?.brands
    .map(({ brand }) => brand)
    .filter((brand) => !/not.*brand/i.test(brand));
  const brand = brands?.find((name) => name !== 'Chromium') ?? brands?.[0];
  const browser = brand?.replace(/^(Google|Microsoft) /, '') ?? first(browsers, userAgent);
  const system = userAgentData?.platform || first(systems, userAgent);
  const name = browser && system ? `${browser} on ${system}` : browser || system;
  return name ? name.slice(0, 64) : null;
}
