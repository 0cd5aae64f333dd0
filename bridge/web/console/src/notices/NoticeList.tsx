import { type Notice, useNotifications } from '@courant/react';
import { CircleAlert, CircleCheck } from 'lucide-react';
import { jobHref } from '../shell/route.ts';
import { ago, dateTime, sentenceCase } from '../ui/format.ts';
import { useNow } from '../ui/useNow.ts';

export function noticeTitle({ filename, type }: Notice): string {
  return `${filename} ${type === 'job-completed' ? 'is done' : 'failed'}`;
}

interface Props {
  readonly list: readonly Notice[];
  readonly onOpen?: () => void;
}

export function NoticeList({ list, onOpen }: Props) {
  const { read } = useNotifications();
  const now = useNow();
  return (
    <ul className="notices">
      {list.map((notice) => {
        const { id, type, text, time, jobId } = notice;
        const title = noticeTitle(notice);
        const good = type === 'job-completed';
        const Icon = good ? CircleCheck : CircleAlert;
        const open = () => {
          read(id);
          onOpen?.();
        };
        return (
          <li
            key={id}
            className="notice"
            data-tone={good ? 'good' : 'bad'}
            data-read={notice.read}
            data-testid="notice"
          >
            <Icon aria-hidden="true" />
            <div className="notice-words">
              <a href={jobHref(jobId)} onClick={open}>
                {title}
              </a>
              {text !== '' && <span className="muted small">{sentenceCase(text)}</span>}
              <time className="muted small" dateTime={time} title={dateTime(time)}>
                {ago(time, now)}
              </time>
            </div>
            {!notice.read && (
              <button
                type="button"
                className="unread"
                onClick={() => read(id)}
                aria-label={`Mark “${title}” as read`}
                title="Mark as read"
              />
            )}
          </li>
        );
      })}
    </ul>
  );
}
