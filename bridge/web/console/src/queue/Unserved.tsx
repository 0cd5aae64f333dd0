import { UnservedKinds } from '@courant/react/components';
import { TriangleAlert } from 'lucide-react';

/** Kinds that no worker serves: on the queue's page, and on that of the system. */
export function Unserved({ kinds }: { readonly kinds: readonly string[] }) {
  return (
    <UnservedKinds
      kinds={kinds}
      icon={<TriangleAlert aria-hidden="true" />}
      slotProps={{ kind: { className: 'note warn', 'data-testid': 'unserved-kind' } }}
    />
  );
}
