/** Reads Server-Sent Events from the body of an answer (WHATWG HTML, section 9.2). */

/** One event; its type is `message` unless the server says otherwise. */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
}

/** The events of a stream, as they come. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  let fields: string[] = [];
  for await (const line of lines(body)) {
    if (line !== '') {
      fields.push(line);
      continue;
    }
    const data = all(fields, 'data');
    if (data.length > 0) yield { type: all(fields, 'event').at(-1) ?? 'message', data: data.join('\n') };
    fields = [];
  }
}

/** The values of a field, in order. */
function all(fields: readonly string[], name: string): string[] {
  return fields
    .filter((field) => field.startsWith(`${name}:`))
    .map((field) => field.slice(name.length + 1).replace(/^ /, ''));
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const found = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = found.pop() ?? '';
      for (const line of found) yield line.replace(/\r$/, '');
    }
  } finally {
    // Whoever stops reading cancels the body; that it was broken already changes nothing.
    reader.cancel().catch(() => undefined);
  }
}
