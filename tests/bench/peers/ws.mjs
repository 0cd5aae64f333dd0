// The bare `ws` package: a set of sockets for each topic, every message sent on as it came. Usage: node ws.mjs PORT
// `/sub/TOPIC` subscribes; `/pub` publishes text messages `TOPIC MESSAGE`.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const SPACE = 0x20;
const topics = new Map();

function publish(data) {
  const end = data.indexOf(SPACE);
  const message = data.subarray(end + 1);
  for (const socket of topics.get(data.toString('latin1', 0, end)) ?? []) {
    socket.send(message, { binary: false });
  }
}

function subscribe(socket, topic) {
  const sockets = topics.get(topic) ?? new Set();
  topics.set(topic, sockets.add(socket));
  socket.on('close', () => sockets.delete(socket));
}

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket, { url }) => {
  if (url === '/pub') {
    socket.on('message', publish);
  } else {
    subscribe(socket, url.slice('/sub/'.length));
  }
});
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
