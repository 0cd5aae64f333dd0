import type { ComponentPropsWithoutRef, ElementType } from 'react';

/** More attributes of a part of a component: a class name, a test id. */
export type Slot<T extends ElementType> = ComponentPropsWithoutRef<T> & {
  readonly [attribute: `data-${string}`]: string | number | boolean | undefined;
};
