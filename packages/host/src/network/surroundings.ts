import { AppError } from "@hardshare/protocol";
import * as z from "zod";
import { runNetworkProgram } from "./network-programs.ts";

/** What `ip -json route show table all` tells of a route, as far as it matters here. */
const Route = z.object({
  type: z.string().default("unicast"),
  dst: z.string(),
  dev: z.string().optional(),
  gateway: z.string().optional(),
  via: z.unknown().optional(),
  nexthops: z.unknown().optional(),
  table: z.union([z.string(), z.number()]).optional(),
});
type Route = z.infer<typeof Route>;
const Routes = z.array(Route);

/** What this computer is connected to. */
export interface Surroundings {
  /** Networks whose computers it reaches without a router. */
  nearby: string[];
  /** Its own addresses. */
  own: string[];
  hasIpv4: boolean;
  hasIpv6: boolean;
}

/** A route for more than this is one to the internet, by a virtual private network for instance, and no network nearby. */
const WIDEST = { ipv4: 8, ipv6: 16 } as const;

/** Asks the kernel. @throws AppError `engine_missing` without the program `ip`, `program_failed` */
export async function readSurroundings(env: NodeJS.ProcessEnv): Promise<Surroundings> {
  const [ipv4, ipv6] = await Promise.all([askRoutes("-4", env), askRoutes("-6", env)]);
  return {
    nearby: [...nearbyOf(ipv4, WIDEST.ipv4), ...nearbyOf(ipv6, WIDEST.ipv6)],
    own: [...ipv4, ...ipv6].filter((route) => route.type === "local").map((route) => route.dst),
    hasIpv4: ipv4.some(isDefault),
    hasIpv6: ipv6.some(isDefault),
  };
}

function nearbyOf(routes: readonly Route[], widest: number): string[] {
  const direct = routes.filter((route) => route.type === "unicast" && route.gateway === undefined && !route.via && !route.nexthops);
  const networks = direct.filter(({ dst, dev }) => dev !== "lo" && dst !== "default" && Number(dst.split("/")[1] ?? 128) >= widest);
  return [...new Set(networks.map((route) => route.dst))].toSorted();
}

function isDefault({ type, dst, table }: Route): boolean {
  return type === "unicast" && dst === "default" && table === undefined;
}

async function askRoutes(family: "-4" | "-6", env: NodeJS.ProcessEnv): Promise<Route[]> {
  const { exitCode, stdout, stderr } = await runNetworkProgram("ip", ["-json", family, "route", "show", "table", "all"], { env });
  if (exitCode !== 0) throw new AppError("program_failed", `\`ip route\` failed: ${stderr.trim()}`);
  return Routes.parse(JSON.parse(stdout.trim() || "[]"));
}
