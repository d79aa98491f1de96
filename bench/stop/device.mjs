// A device that takes all it gets. Prints host:port; for each line on standard input it prints when the last byte came (ns, CLOCK_MONOTONIC) and how many did.
import net from "node:net";
import { createInterface } from "node:readline";

let lastNs = 0n;
let bytes = 0;
const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    lastNs = process.hrtime.bigint();
    bytes += chunk.length;
  });
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`127.0.0.1:${server.address().port}\n`));
createInterface(process.stdin)
  .on("line", () => process.stdout.write(`${lastNs} ${bytes}\n`))
  .on("close", () => process.exit(0));
