import { AppError } from "@hardshare/protocol";

/** A TCP port as an option says it; 0 means a free one. @throws AppError `bad_input` */
export function readPort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new AppError("bad_input", `"${text}" is no port; expected a number up to 65535`, { details: { field: "port" } });
}
