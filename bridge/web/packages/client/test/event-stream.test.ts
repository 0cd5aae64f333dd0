import { expect, it } from 'vitest';
import { events, type StreamEvent } from '../src/event-stream.ts';

async function read(...pieces: (string | Uint8Array)[]): Promise<StreamEvent[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) {
        controller.enqueue(typeof piece === 'string' ? new TextEncoder().encode(piece) : piece);
      }
      controller.close();
    },
  });
  const found: StreamEvent[] = [];
  for await (const event of events(body)) found.push(event);
  return found;
}

it('reads events however they are cut into pieces', async () => {
  const text =
    'retry: 1000\n\nid: x\ndata: {"a":1}\n\nevent: ping\ndata: {}\n\n: a comment\n\ndata: é\ndata:two\n\n';
  const expected = [
    { type: 'message', data: '{"a":1}' },
    { type: 'ping', data: '{}' },
    { type: 'message', data: 'é\ntwo' },
  ];
  const bytes = new TextEncoder().encode(text);
  expect(await read(bytes)).toEqual(expected);
  expect(await read(...Array.from(bytes, (_, place) => bytes.slice(place, place + 1)))).toEqual(expected);
  expect(await read(text.replaceAll('\n', '\r\n'))).toEqual(expected);
});

it('gives out nothing of an event that is not whole', async () => {
  expect(await read('data: one\n\ndata: two\n')).toEqual([{ type: 'message', data: 'one' }]);
  expect(await read()).toEqual([]);
});
