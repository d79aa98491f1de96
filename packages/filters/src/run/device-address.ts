import { AppError } from "@hardshare/protocol";

/** Where the device listens. */
export interface DeviceAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port`; an IPv6 host is in brackets.
 * @throws AppError `bad_input`
 */
export function parseTarget(target: string): DeviceAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(target);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new AppError(
      "bad_input",
      `target: expected host:port of the device, such as 192.168.1.134:80, not ${target === "" ? "nothing" : target}`,
      {
        details: { field: "target" },
      },
    );
  }
  return { host, port };
}
