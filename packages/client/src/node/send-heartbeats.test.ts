import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { generateIdentity } from "@hardshare/wire/ssh";
import { expect, test, vi } from "vitest";
import { WebSocketServer } from "ws";
import { sendHeartbeats } from "./index.ts";

/** Of a server at 127.0.0.1, made for this test by `openssl req -x509`; good until 2126. */
const CERTIFICATE = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghRCL+yL6S/TmfCve
G9gxMnnVuxdoM4DnGFyjyAtPwJmhRANCAARv8wnjVuHknFuyjw7QSpmUc/VBA0Xf
6/vOs0hSr1+BsAUnJqjs2ch/w8e3LRV3f27arW91ODzqd8zhlMrwM/Fw
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUFmIFyfRm5ixoubvVXc8kkgZiKBwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyNjIzNTIwOFoYDzIxMjYxMTAy
MjM1MjA4WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARv8wnjVuHknFuyjw7QSpmUc/VBA0Xf6/vOs0hSr1+BsAUnJqjs2ch/
w8e3LRV3f27arW91ODzqd8zhlMrwM/Fwo2QwYjAdBgNVHQ4EFgQU1q3uB6l4cx1t
Chj0mGmMz0Wg7ogwHwYDVR0jBBgwFoAU1q3uB6l4cx1tChj0mGmMz0Wg7ogwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQC
IFE27iGH9uNJY1l8uQxTY/fc6HFqxF0EdHw/vZz5IdoSAiB50boUQxnew2cmS80s
8Cjg7BHiZXJtESK1Slv6LPnfRg==
-----END CERTIFICATE-----`,
};

test.each(["http", "https"])(
  "heartbeats go out one after the other, by %s as well: TLS sends later than it is told to",
  async (protocol) => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    const server = protocol === "http" ? createServer() : createSecureServer(CERTIFICATE);
    const sockets = new WebSocketServer({ server });
    const leave = new AbortController();
    const heard: unknown[] = [];
    sockets.on("connection", (socket) => {
      socket.send('{"everyMs":20}');
      socket.on("message", (data: Buffer) => {
        heard.push(JSON.parse(data.toString()));
        if (heard.length === 5) leave.abort();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await sendHeartbeats({
      url: `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}`,
      token: "t",
      instanceId: "01234567-89ab-4cde-8f01-23456789abcd",
      epoch: 1,
      privateKey: generateIdentity("user").privateKey,
      signal: leave.signal,
    });
    expect(heard.length).toBeGreaterThanOrEqual(5);
    vi.unstubAllEnvs();
    sockets.close();
    server.closeAllConnections();
    server.close();
  },
);
