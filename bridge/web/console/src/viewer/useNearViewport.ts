import { type RefObject, useEffect, useState } from 'react';

/** Whether an element is on the screen or nearly so. */
export function useNearViewport(element: RefObject<Element | null>, margin = '900px 0px'): boolean {
  const [near, setNear] = useState(false);
  useEffect(() => {
    if (element.current === null) return;
    const observer = new IntersectionObserver(
      (entries) => setNear(entries.some(({ isIntersecting }) => isIntersecting)),
      { rootMargin: margin },
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element, margin]);
  return near;
}
