type Search = Record<string, string | string[]>

/** Addresses stay readable: plain text, a repeated key is a list. */
export function parseSearch(text: string): Search {
  const found: Search = {}
  const params = new URLSearchParams(text)
  for (const key of new Set(params.keys())) {
    const all = params.getAll(key)
    found[key] = all.length > 1 ? all : (all[0] as string)
  }
  return found
}

export function stringifySearch(search: Record<string, unknown>): string {
  const parts: string[] = []
  const add = (key: string, value: unknown): void => {
    // Slashes, colons and commas are legal in a query; paths stay legible.
    const text = encodeURIComponent(String(value)).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%2C/g, ',')
    parts.push(`${encodeURIComponent(key)}=${text}`)
  }
  for (const [key, value] of Object.entries(search)) {
    if (value === undefined || value === null || value === '') continue
    if (Array.isArray(value)) for (const item of value) add(key, item)
    else add(key, value)
  }
  return parts.length ? `?${parts.join('&')}` : ''
}
