// A service that lets everything through to the device at the address in its argument. Prints host:port.
import net from "node:net";

const [host, port] = (process.argv[2] ?? "").split(":");
const server = net.createServer((socket) => {
  const device = net.connect({ host, port: Number(port), noDelay: true });
  socket.pipe(device).pipe(socket);
  for (const each of [socket, device]) each.on("error", () => [socket, device].forEach((other) => other.destroy()));
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`127.0.0.1:${server.address().port}\n`));
