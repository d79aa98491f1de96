import { autoDetect, type LinuxPortBinding } from "@serialport/bindings-cpp";
import { access, constants, stat } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import { findOpeners } from "./find-openers.ts";

/** A serial device that is open, locked, without blocking. */
export interface OpenDevice {
  readonly fd: number;
  readonly port: Pick<LinuxPortBinding, "poller" | "close" | "flush">;
}

/**
 * Opens a serial device (8 data bits, no parity, 1 stop bit, raw, no flow control) for this process alone.
 * @throws AppError `device_missing`, `device_unusable` (busy, no permission, no serial device, a speed that it can't have)
 */
export async function openDevice(path: string, baud: number): Promise<OpenDevice> {
  let port: LinuxPortBinding;
  try {
    // Without `hupcl` its control lines stay as they are when it is closed: many boards take a change for a reset.
    port = (await autoDetect().open({ path, baudRate: baud, lock: true, hupcl: false })) as LinuxPortBinding;
  } catch (cause) {
    throw await describeProblem(path, baud, cause as Error);
  }
  if (port.fd === null)
    throw new AppError("device_unusable", `the device ${path} was closed while it was opened`, { details: { device: path } });
  return { fd: port.fd, port };
}

/** The library tells what happened in words alone; what is true of the file tells it better. */
async function describeProblem(path: string, baud: number, cause: Error): Promise<AppError> {
  const details = { device: path };
  const unusable = (message: string) => new AppError("device_unusable", `the device ${path} ${message}`, { details, cause });
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) {
    return new AppError(
      "device_missing",
      `the device ${path} is not there: plug it in, or correct the path (\`ls -l /dev/serial/by-id\`)`,
      {
        details,
        cause,
      },
    );
  }
  if (!facts.isCharacterDevice()) return unusable("is no device file: expected one such as /dev/ttyUSB0");
  const isPermitted = await access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!isPermitted) {
    return unusable(
      "may not be opened by this user: add the user to the group that owns it (on Debian `adduser USER dialout`), then log in again",
    );
  }
  if (/lock|busy/i.test(cause.message)) {
    const openers = await findOpeners(path);
    return unusable(`is busy: ${openers.length === 0 ? "another program" : openers.join(", ")} has it open; end that first`);
  }
  if (/baud rate/i.test(cause.message)) {
    return unusable(`is no serial device, or cannot be set to ${baud} baud: ${cause.message.replace(/^Error:? /, "")}`);
  }
  return unusable(`cannot be opened: ${cause.message.replace(/^Error:? /, "")}`);
}
