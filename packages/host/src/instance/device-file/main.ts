/** Program of the keeper of a device file; started by `keeper-process.ts` only. */
import { keepDeviceFile } from "./keep-device-file.ts";

process.stdout.write(`${await keepDeviceFile(process.argv[2] ?? "")}\n`);
