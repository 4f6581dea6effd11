/** The browser's side of passkeys: what the server sends as base64url becomes bytes, and back. */

type Json = Record<string, unknown>

const bytes = (text: string): ArrayBuffer => {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'))
  const out = new Uint8Array(plain.length)
  for (let i = 0; i < plain.length; i += 1) out[i] = plain.charCodeAt(i)
  return out.buffer
}

const text = (buffer: ArrayBuffer | null): string | null => {
  if (buffer === null) return null
  let plain = ''
  for (const byte of new Uint8Array(buffer)) plain += String.fromCharCode(byte)
  return btoa(plain).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

/** Passkeys exist on localhost and behind TLS with a name only. */
export const canUsePasskeys = (): boolean => window.isSecureContext && typeof PublicKeyCredential === 'function'

const described = (list: unknown): PublicKeyCredentialDescriptor[] =>
  (Array.isArray(list) ? (list as { id: string; transports?: AuthenticatorTransport[] }[]) : []).map((one) => ({
    type: 'public-key',
    id: bytes(one.id),
    ...(one.transports ? { transports: one.transports } : {}),
  }))

function answered(credential: PublicKeyCredential, response: Json): Json {
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: { clientDataJSON: text(credential.response.clientDataJSON), ...response },
  }
}

export async function createPasskey(options: Json): Promise<Json> {
  const user = options['user'] as { id: string; name: string; displayName: string }
  const made = await navigator.credentials.create({
    publicKey: {
      ...(options as unknown as PublicKeyCredentialCreationOptions),
      challenge: bytes(options['challenge'] as string),
      user: { ...user, id: bytes(user.id) },
      excludeCredentials: described(options['excludeCredentials']),
    },
  })
  const credential = made as PublicKeyCredential
  const response = credential.response as AuthenticatorAttestationResponse
  return answered(credential, { attestationObject: text(response.attestationObject), transports: response.getTransports() })
}

export async function usePasskeyAt(options: Json): Promise<Json> {
  const found = await navigator.credentials.get({
    publicKey: {
      ...(options as unknown as PublicKeyCredentialRequestOptions),
      challenge: bytes(options['challenge'] as string),
      allowCredentials: described(options['allowCredentials']),
    },
  })
  const credential = found as PublicKeyCredential
  const response = credential.response as AuthenticatorAssertionResponse
  return answered(credential, {
    authenticatorData: text(response.authenticatorData),
    signature: text(response.signature),
    userHandle: text(response.userHandle),
  })
}

/** The person closed the browser's question, or it waited too long. */
export const wasCancelled = (error: unknown): boolean => error instanceof DOMException && ['NotAllowedError', 'AbortError'].includes(error.name)
