/**
 * The public key of a user who never shows the private one. Sent with a launch, it spares the server the making of an RSA
 * key pair, which takes longer than all the rest of a `proxy` launch.
 */
export const USER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPh0kc04eMQMdBhDXXixztfPmCzGoYcO/oEKs7207DXS a user";
