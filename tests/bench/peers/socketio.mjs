// Socket.IO: a room for each topic. Usage: node socketio.mjs PORT PUBLISHER_PORT
// Browsers join the topic of their query string; at PUBLISHER_PORT a plain WebSocket takes text messages `TOPIC MESSAGE`.
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { WebSocketServer } from 'ws';

const [port, publisherPort] = process.argv.slice(2).map(Number);
const server = createServer();
const io = new Server(server, { transports: ['websocket'] });
io.on('connection', (socket) => socket.join(socket.handshake.query.topic));
server.listen({ host: '127.0.0.1', port, backlog: 4096 }, () => {
  // Last: who can publish can also subscribe.
  new WebSocketServer({ host: '127.0.0.1', port: publisherPort }).on('connection', (publisher) =>
    publisher.on('message', (data) => {
      const text = data.toString();
      const end = text.indexOf(' ');
      io.to(text.slice(0, end)).emit('job-progress', JSON.parse(text.slice(end + 1)));
    }),
  );
});
