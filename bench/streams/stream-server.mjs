/**
 * The program at the far end of every tunnel of a race: prints `host:port`, then serves. The first byte of a connection
 * says what it is for: `S` and a number of bytes in ASCII and a line end: sends that many; `E`: echo; `C`: one byte back.
 */
import { createServer } from "node:net";

const block = Buffer.alloc(256 * 1024, 0x61);

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.once("data", (first) => {
    const kind = String.fromCharCode(first[0]);
    if (kind === "S") send(socket, Number(first.subarray(1).toString()));
    else if (kind === "E") {
      if (first.length > 1) socket.write(first.subarray(1));
      socket.pipe(socket);
    } else socket.end("c");
  });
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`127.0.0.1:${server.address().port}\n`));

function send(socket, total) {
  let left = total;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      const piece = left >= block.length ? block : block.subarray(0, left);
      left -= piece.length;
      if (!socket.write(piece)) return socket.once("drain", more);
    }
    socket.end();
  };
  more();
}
