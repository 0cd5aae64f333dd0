import type { ConnectedDevice, Devices } from '@courant/client/service';
import { deviceChanges } from '@courant/client/service';
import { useDevices } from '@courant/react';
import { formatCount, transportNames } from '@courant/react/format';
import { Monitor, Smartphone } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { formatAgo, formatDateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';

const titleId = 'devices-title';

/** Where else one is signed in and connected at this moment, as it changes. */
export function MyDevices() {
  const known = useDevices();
  const changes = useDeviceChanges(known);
  if (known === null) return null;
  // This one first: it is what people look for.
  const devices = [...known.devices].sort((a, b) => Number(b.current) - Number(a.current));
  return (
    <section className="devices" aria-labelledby={titleId} data-testid="devices">
      <h3 id={titleId} className="devices-title">
        Your devices
      </h3>
      <span className="hidden" role="status">
        {changes}
      </span>
      <ul className="devices-list">
        {devices.map((device) => (
          <Device key={device.deviceId} device={device} />
        ))}
      </ul>
      {!known.complete && (
        <p className="muted small" data-testid="devices-incomplete">
          Devices connected to other servers cannot be seen right now.
        </p>
      )}
    </section>
  );
}

const handheld = /Android|iOS/;

function Device({ device }: { readonly device: ConnectedDevice }) {
  const now = useNow();
  const Icon = handheld.test(device.name ?? '') ? Smartphone : Monitor;
  const { connectTime, transports, connections } = device;
  const how = transports.map((transport) => transportNames[transport]).join(', ');
  return (
    <li className="device" data-testid="device" data-current={device.current}>
      <Icon aria-hidden="true" />
      <span className="device-words">
        <span className="device-name">
          {nameOf(device)}
          {device.current && <span className="device-this">this device</span>}
        </span>
        <span className="muted small">
          {connections > 1 ? `${formatCount(connections, 'connection')}, ` : ''}
          {how}
          {connectTime !== null && (
            <>
              {', connected '}
              <time dateTime={connectTime} title={formatDateTime(connectTime)}>
                {formatAgo(connectTime, now)}
              </time>
            </>
          )}
        </span>
      </span>
    </li>
  );
}

const nameOf = ({ name }: ConnectedDevice): string => name ?? 'Unnamed device';

/** What to say aloud of a change; nothing of what was there before one looked. */
function useDeviceChanges(known: Devices | null): string {
  const before = useRef<Devices | null>(null);
  const [changes, setChanges] = useState('');
  useEffect(() => {
    // While other bridges cannot be reached, nobody knows which of their devices are gone.
    if (known !== null && before.current?.complete && known.complete) {
      const { joined, left } = deviceChanges(before.current, known);
      const words = [
        ...joined.map((device) => `${nameOf(device)} connected.`),
        ...left.map((device) => `${nameOf(device)} disconnected.`),
      ];
      if (words.length > 0) setChanges(words.join(' '));
    }
    before.current = known;
  }, [known]);
  return changes;
}
