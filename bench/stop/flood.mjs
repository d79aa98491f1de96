// Writes as much as it can to the address in its argument, over four connections, until they break.
import net from "node:net";

const [host, port] = (process.argv[2] ?? "").split(":");
const chunk = Buffer.alloc(64 * 1024, 0x6d);
for (let index = 0; index < 4; index += 1) {
  const socket = net.connect({ host, port: Number(port) });
  const fill = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket
    .on("error", () => {})
    .on("connect", fill)
    .on("drain", fill);
}
