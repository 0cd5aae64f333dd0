/** Keeps the keyboard where it was when what it was on goes away: a browser would start again at the top of the page. */
import { type FocusEvent, type RefObject, useEffect, useRef } from 'react';

const items = 'article, tr, li';

function focus(item: Element | null | undefined): void {
  const to = item?.querySelector<HTMLElement>('a[href]') ?? document.getElementById('main');
  to?.focus({ preventScroll: true });
}

/** To be called before an entry of a list goes away: its neighbour has the focus then. */
export function focusNeighbor(element: Element | null): void {
  const item = element?.closest(items);
  focus(item?.nextElementSibling ?? item?.previousElementSibling);
}

/** For buttons that come and go with a state: their entry has the focus when the one that had it is gone. */
export function useFocusFallback(box: RefObject<HTMLElement | null>, state: string) {
  const inside = useRef(false);
  useEffect(() => {
    if (!inside.current || document.activeElement !== document.body) return;
    inside.current = false;
    focus(box.current?.closest(items));
  }, [box, state]);
  return {
    onFocus: () => {
      inside.current = true;
    },
    // A button that is removed or disabled loses the focus to nobody.
    onBlur: ({ relatedTarget }: FocusEvent) => {
      if (relatedTarget !== null) inside.current = false;
    },
  };
}
