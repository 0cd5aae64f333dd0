import { Menu } from '@base-ui/react/menu';
import { isFinished, type Job } from '@courant/client';
import { ChevronDown, Download } from 'lucide-react';
import { formatBytes, formatNames } from '../ui/format.ts';
import { useDownload } from './useDownload.ts';

/** A button for each format that was written. */
export function Downloads({ job }: { readonly job: Job }) {
  const { ready, busy, download } = useDownload(job);
  if (ready.length === 0) return null;
  return (
    <fieldset className="downloads" aria-label={`Downloads of ${job.filename}`}>
      {ready.map(({ format, sizeBytes }) => (
        <button
          key={format}
          type="button"
          className="button small"
          disabled={busy !== null}
          onClick={() => void download(format)}
          title={sizeBytes === null ? undefined : formatBytes(sizeBytes)}
          data-testid={`download-${format}`}
        >
          <Download aria-hidden="true" />
          {formatNames[format]}
        </button>
      ))}
    </fieldset>
  );
}

/** The same in one button, which is there before there is anything to download. */
export function DownloadMenu({ job }: { readonly job: Job }) {
  const { ready, busy, download } = useDownload(job);
  const early = ready.length === 0;
  if (early && isFinished(job)) return null;
  return (
    <Menu.Root>
      <Menu.Trigger className="button small" disabled={early || busy !== null} data-testid="download-menu">
        <Download aria-hidden="true" />
        Download
        <ChevronDown aria-hidden="true" />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={6} align="end" className="positioner">
          <Menu.Popup className="popover menu">
            {ready.map(({ format, sizeBytes }) => (
              <Menu.Item
                key={format}
                className="menu-item"
                onClick={() => void download(format)}
                data-testid={`download-${format}`}
              >
                {formatNames[format]}
                <span className="muted small">{sizeBytes === null ? '' : formatBytes(sizeBytes)}</span>
              </Menu.Item>
            ))}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
