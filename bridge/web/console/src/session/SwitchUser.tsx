import { useCourant } from '@courant/react';
import { Confirm } from '../ui/Confirm.tsx';
import { switchUser } from './end-session.ts';
import { declineOffer, subjectOf, useSession } from './session.ts';

/** Asks before a link signs in as somebody else: it may come from anybody, who would then see what is uploaded here. */
export function SwitchUser() {
  const client = useCourant();
  const { token, offer } = useSession();
  if (token === null || offer === null) return null;
  const user = subjectOf(token);
  return (
    <Confirm
      open={true}
      title={`Sign in as ${offer.user}?`}
      verb="Sign in"
      keep={`Keep ${user}`}
      danger={false}
      onAnswer={(yes) => {
        declineOffer();
        if (yes) void switchUser(client, offer.token);
      }}
    >
      You are signed in as {user}. Sign in as {offer.user} only if you trust the link you opened.
    </Confirm>
  );
}
