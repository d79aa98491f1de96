import type { LoadedContract } from "../contract/load-contract.ts";

/** Only the services of a contract, without a container and without programs that move the hardware. */
export function servicesAlone(loaded: LoadedContract): LoadedContract {
  const { contract } = loaded;
  const services = contract.services.map((service) => ("device" in service ? { ...service, device: undefined } : service));
  const nothing = { devices: [], init: [], init_inside: [], terminate: [], baseline: [] };
  return { ...loaded, contract: { ...contract, ...nothing, provider: "proxy", probe: "none", services } };
}
