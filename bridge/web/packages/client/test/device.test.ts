// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { browserDevice, nameOf } from '../src/browser-device.ts';

const mozilla = 'Mozilla/5.0';

describe('what a browser calls itself', () => {
  beforeEach(() => {
    vi.unstubAllGlobals();
    const kept = new Map<string, string>();
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
    });
  });

  it('is an id that it keeps, and nothing that says who it is', () => {
    const first = browserDevice();
    expect(first?.id).toMatch(/^[0-9a-f]{32}$/);
    expect(browserDevice()).toEqual(first);
    localStorage.setItem('courant.device', 'laptop.1');
    expect(browserDevice()?.id).toBe('laptop.1');
    localStorage.setItem('courant.device', 'not an id');
    expect(browserDevice()?.id).toBe(first?.id);
    expect(localStorage.getItem('courant.device')).toBe(first?.id);
  });

  it('lasts as long as the page where nothing may be stored', () => {
    vi.stubGlobal('localStorage', {
      getItem: () => {
        throw new DOMException('no', 'SecurityError');
      },
    });
    expect(browserDevice()?.id).toBe(browserDevice()?.id);
  });

  it.each([
    [`${mozilla} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0`, 'Firefox on Linux'],
    [
      `${mozilla} (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0`,
      'Edge on Windows',
    ],
    [
      `${mozilla} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15`,
      'Safari on macOS',
    ],
    [
      `${mozilla} (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile Safari/604.1`,
      'Chrome on iOS',
    ],
    [
      `${mozilla} (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36`,
      'Chrome on Android',
    ],
    ['curl/8', null],
  ])('reads %s', (userAgent, name) => {
    expect(nameOf({ userAgent })).toBe(name);
  });

  it('believes brands before the old text', () => {
    const agent = (brands: string[], platform = 'Linux') => ({
      userAgent: 'anything Safari/1',
      userAgentData: { platform, brands: brands.map((brand) => ({ brand })) },
    });
    expect(nameOf(agent(['Not)A;Brand', 'Chromium', 'Google Chrome']))).toBe('Chrome on Linux');
    expect(nameOf(agent(['Chromium', 'Not;A=Brand'], 'Chrome OS'))).toBe('Chromium on Chrome OS');
    expect(nameOf(agent(['x'.repeat(80)]))).toHaveLength(64);
  });
});
