import { FORWARD_PORT, forwarderUsername, SERVER_USERNAME } from "@hardshare/protocol";
import { HOST_LIVENESS, type SessionRules, type SshSession, USER_LIVENESS } from "@hardshare/wire/ssh";
import type { Endpoint } from "./endpoint.ts";
import type { Endpoints } from "./endpoints.ts";
import type { InstanceSession } from "./sessions.ts";

/** Who has logged in: the host of an instance, a user of it, or the server. */
export type Login =
  | { role: "host"; endpoint: Endpoint; key: Buffer }
  | { role: "user"; endpoint: Endpoint; key: Buffer }
  | { role: "server" };

/** Who that is by user name and key, or undefined when they may not log in. */
export function findLogin(endpoints: Endpoints, serverKey: Buffer, username: string, key: Buffer): Login | undefined {
  if (username === SERVER_USERNAME) return key.equals(serverKey) ? { role: "server" } : undefined;
  const prefix = forwarderUsername("");
  if (username.startsWith(prefix)) {
    const endpoint = endpoints.get(username.slice(prefix.length));
    return endpoint?.mayLogIn("host", key) ? { role: "host", endpoint, key } : undefined;
  }
  const endpoint = endpoints.get(username);
  return endpoint?.mayLogIn("user", key) ? { role: "user", endpoint, key } : undefined;
}

/** What each of them may do. */
export function rulesFor(session: SshSession<Login>, endpoints: Endpoints): SessionRules {
  const { who } = session;
  if (who.role === "server") return serverRules(endpoints);
  const own = { ...session, who };
  who.endpoint.admit(own);
  return who.role === "host" ? hostRules(own) : userRules(own);
}

/** A host forwards the endpoint of its instance, and nothing else. */
function hostRules(session: InstanceSession): SessionRules {
  const { endpoint } = session.who;
  const isEndpoint = (address: string, port: number) => address === "" && port === FORWARD_PORT;
  return {
    liveness: HOST_LIVENESS,
    onStream: (request) => request.reject("prohibited", "a host forwards its instance and opens no streams"),
    onForward: (address, port) => isEndpoint(address, port) && endpoint.addLink(session),
    onForwardCancelled: (address, port) => {
      if (isEndpoint(address, port)) endpoint.removeLink(session);
    },
    onClose: () => endpoint.leave(session),
  };
}

/** A user reaches their instance, by its id or as `localhost`, whatever the port; the firewall sees where they connect from. */
function userRules(session: InstanceSession): SessionRules {
  const { endpoint } = session.who;
  return {
    liveness: USER_LIVENESS,
    onStream: (request) => {
      const host = request.host.toLowerCase();
      if (host !== endpoint.instanceId && host !== "localhost") {
        return request.reject("prohibited", `from here only ${endpoint.instanceId} can be reached`);
      }
      void endpoint.serveStream(request, { address: session.address, port: session.port });
    },
    onForward: () => false,
    onForwardCancelled: () => {},
    onClose: () => endpoint.leave(session),
  };
}

/** The server reaches every instance that is open here, on behalf of the user whose address it names. */
function serverRules(endpoints: Endpoints): SessionRules {
  return {
    liveness: USER_LIVENESS,
    onStream: (request) => {
      const endpoint = endpoints.get(request.host);
      if (endpoint === undefined) return request.reject("connect_failed", "no such instance is open at this hub");
      void endpoint.serveStream(request, { address: request.originAddress, port: request.originPort });
    },
    onForward: () => false,
    onForwardCancelled: () => {},
    onClose: () => {},
  };
}
