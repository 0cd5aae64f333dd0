import type { ConnectedDevice, Devices } from '@courant/client/service';
import { comings } from '@courant/client/service';
import { useDevices } from '@courant/react';
import { formatCount, transportNames } from '@courant/react/format';
import { Monitor, Smartphone } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { ago, dateTime } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';

const titleId = 'devices-title';

/** Where else one is signed in and connected at this moment, as it changes. */
export function MyDevices() {
  const known = useDevices();
  const news = useNews(known);
  if (known === null) return null;
  // This one first: it is what people look for.
  const devices = [...known.devices].sort((a, b) => Number(b.current) - Number(a.current));
  return (
    <section className="devices" aria-labelledby={titleId} data-testid="devices">
      <h3 id={titleId} className="devices-title">
        Your devices
      </h3>
      <span className="hidden" role="status">
        {news}
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
              <time dateTime={connectTime} title={dateTime(connectTime)}>
                {ago(connectTime, now)}
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
function useNews(known: Devices | null): string {
  const before = useRef<Devices | null>(null);
  const [news, setNews] = useState('');
  useEffect(() => {
    // What other bridges have cannot be told from what they lost while they are not heard.
    if (known !== null && before.current?.complete && known.complete) {
      const { joined, left } = comings(before.current, known);
      const words = [
        ...joined.map((device) => `${nameOf(device)} connected.`),
        ...left.map((device) => `${nameOf(device)} disconnected.`),
      ];
      if (words.length > 0) setNews(words.join(' '));
    }
    before.current = known;
  }, [known]);
  return news;
}
