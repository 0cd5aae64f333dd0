// @vitest-environment jsdom
import { CourantClient } from '@courant/client';
import { CourantProvider } from '@courant/react';
import {
  act,
  cleanup,
  configure,
  fireEvent,
  render,
  renderHook,
  screen,
  waitFor,
} from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket } from '../../packages/client/test/harness.ts';
import { SwitchUser } from '../src/session/SwitchUser.tsx';
import { signIn, signOut, takeTokenFromAddress, useSession } from '../src/session/session.ts';
import { toastManager } from '../src/ui/toasts.ts';
import { cachedPassword, cachePassword } from '../src/viewer/document-cache.ts';

configure({ asyncUtilTimeout: 10_000 });

const token = (sub: string, mark = 'c2ln') => `e30.${btoa(JSON.stringify({ sub }))}.${mark}`;
const kept = () => sessionStorage.getItem('courant.token');

/** A server that takes the tokens it signed: those that do not end in `forged`. */
const server = vi.fn(async (_: string, { headers }: { headers: { authorization: string } }) => {
  const [, payload = '', mark] = headers.authorization.split('.');
  const { sub } = JSON.parse(atob(payload)) as { sub: string };
  return mark === 'forged' ? new Response('', { status: 401 }) : Response.json({ user: sub, roles: [] });
});

function open(link: string): void {
  location.hash = `#token=${link}`;
  takeTokenFromAddress();
  expect(location.href).not.toContain('token');
}

function show(): void {
  const client = new CourantClient({ url: 'http://bridge.test', token: () => 't', WebSocket: FakeSocket });
  render(
    <CourantProvider client={client}>
      <SwitchUser />
    </CourantProvider>,
  );
}

describe('a link with a token', () => {
  beforeEach(() => {
    vi.stubGlobal('fetch', server);
    server.mockClear();
    act(() => signOut());
  });
  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
  });

  it('signs in where nobody is signed in, without a question', () => {
    act(() => open(token('alice')));
    expect(kept()).toBe(token('alice'));
    expect(server).not.toHaveBeenCalled();
  });

  it('asks before it signs in as somebody else, and one stays who one is', async () => {
    act(() => signIn(token('alice')));
    show();
    act(() => open(token('bob')));
    await waitFor(() => expect(screen.getByText('Sign in as bob?')).toBeDefined());
    expect(kept()).toBe(token('alice'));
    expect(screen.getByTestId('confirm').textContent).toContain('You are signed in as alice.');
    fireEvent.click(screen.getByRole('button', { name: 'Keep alice' }));
    await waitFor(() => expect(screen.queryByTestId('confirm')).toBeNull());
    expect(kept()).toBe(token('alice'));
  });

  it('signs in as somebody else once one says so, who finds nothing of the one before', async () => {
    act(() => signIn(token('alice')));
    cachePassword('J1', 'secret');
    show();
    act(() => open(token('bob')));
    await waitFor(() => screen.getByText('Sign in as bob?'));
    fireEvent.click(screen.getByTestId('confirm-yes'));
    await waitFor(() => expect(kept()).toBe(token('bob')));
    expect(cachedPassword('J1')).toBeUndefined();
  });

  it('renews the session of the same user without a question', async () => {
    act(() => signIn(token('alice')));
    const { result } = renderHook(() => useSession());
    act(() => open(token('alice', 'newer')));
    await waitFor(() => expect(kept()).toBe(token('alice', 'newer')));
    expect(result.current.offer).toBeNull();
  });

  it.each([
    ['forged in the name of the same user', token('alice', 'forged')],
    ['forged in the name of another', token('bob', 'forged')],
    ['no token at all', 'nonsense'],
    ['not even text', '%E0%A4%A'],
  ])('ends no session when it is %s', async (_, link) => {
    act(() => signIn(token('alice')));
    const said = vi.spyOn(toastManager, 'add');
    const { result } = renderHook(() => useSession());
    act(() => open(link));
    await waitFor(() => expect(said).toHaveBeenCalledOnce());
    expect(said.mock.calls[0]?.[0].description).toContain('still signed in as alice');
    expect(result.current).toMatchObject({ token: token('alice'), offer: null });
  });

  it('does nothing when one signed out meanwhile', async () => {
    act(() => signIn(token('alice')));
    let answer = (_: Response): void => undefined;
    server.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    act(() => open(token('bob')));
    act(() => signOut());
    await act(async () => answer(Response.json({ user: 'bob' })));
    expect(kept()).toBeNull();
  });

  it('is heard of no other way: messages and other tabs sign nobody in', () => {
    act(() => signIn(token('alice')));
    const message = { open: `#token=${token('bob')}`, token: token('bob') };
    act(() => {
      dispatchEvent(new MessageEvent('message', { data: message }));
      dispatchEvent(new StorageEvent('storage', { key: 'courant.token', newValue: token('bob') }));
    });
    expect(kept()).toBe(token('alice'));
  });
});
