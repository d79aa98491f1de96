import { silentLogger, systemClock } from "@hardshare/runtime";
import { SpareFilter } from "../services/spare-filter.ts";

/** For what starts no filter: none waits unless one is prepared. */
export function noSpareFilter(): SpareFilter {
  return new SpareFilter({ selfCommand: [], place: { folder: "/", env: {}, launcher: [] }, clock: systemClock, logger: silentLogger });
}
