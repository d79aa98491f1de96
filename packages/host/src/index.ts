/**
 * The host: what runs on the computer next to the device. Sets the computer up and registers its deployments, runs the
 * host daemon, and speaks with a running one. Called by the command line; it knows the server and the hub only by their
 * channel and their SSH port.
 */
export { checkHubs } from "./check/check-hubs.ts";
export { checkHere, type CheckHereOptions } from "./check/check-here.ts";
export { changeDeployment, type ChangedDeployment, type ChangeDeploymentOptions } from "./contract/change-deployment.ts";
export type { RequestedChanges } from "./contract/requested-changes.ts";
export { daemonStatus, reloadFiles, startAdvertising, stopAdvertising } from "./daemon/control-client.ts";
export { configuredDeployments, type HostDaemon, type HostDaemonOptions, startHostDaemon } from "./daemon/host-daemon.ts";
export { deploymentsHere, estopHere, type EstopHereOptions, type StoppedHere } from "./daemon/estop-here.ts";
export { setAsideHere } from "./daemon/set-aside-here.ts";
export { askDockerVersion } from "./engine/connect-docker.ts";
export { type MonitorResult, runMonitors, type RunMonitorsOptions } from "./health/run-monitors.ts";
export { ensureImage, type EnsureImageOptions } from "./image/ensure-image.ts";
export { type Imported, importConfiguration, type ImportOptions } from "./import/import-configuration.ts";
export { type LocalDeployment, localDeployments } from "./registration/local-deployments.ts";
export { initHost, type InitHostOptions } from "./registration/init-host.ts";
export { registerDeployment, type RegisterDeploymentOptions } from "./registration/register-deployment.ts";
export { readTaps } from "./taps/read-taps.ts";
export { tappedInstances } from "./taps/tap-folders.ts";
export type { DaemonStatus } from "./daemon/daemon-status.ts";
export type { ReloadedDeployment } from "./daemon/reload-deployments.ts";
