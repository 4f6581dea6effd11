import type { ReactNode } from 'react'

/* Line icons on a 24 grid, 1.5 px, drawn for this product. */
const shapes: Record<string, ReactNode> = {
  overview: <path d="M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z" />,
  assets: <path d="M4 20V9l5 3V9l5 3V5h6v15zM8 16h1M12 16h1M16 16h1" />,
  screens: <path d="M3 5h18v12H3zM9 21h6M12 17v4M7 11h3M14 11h3M10 11a2 2 0 1 0 4 0 2 2 0 1 0-4 0" />,
  tags: <path d="M4 4h8l8 8-8 8-8-8zM8 8h.5" />,
  trends: <path d="M4 4v16h16M7 15l4-5 3 3 5-7" />,
  connections: <path d="M8 4v5M16 4v5M6 9h12v3a6 6 0 0 1-12 0zM12 18v3" />,
  system: <path d="M4 5h16v6H4zM4 13h16v6H4zM7 8h.5M7 16h.5M11 8h6M11 16h6" />,
  more: <path d="M5 7h14M5 12h14M5 17h14" />,
  search: <path d="M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L21 21" />,
  user: <path d="M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM5 21v-2a4 4 0 0 1 4-4h6a4 4 0 0 1 4 4v2" />,
  close: <path d="M6 6l12 12M18 6L6 18" />,
  check: <path d="M5 12.5l4.5 4.5L19 7" />,
  cross: <path d="M6.5 6.5l11 11M17.5 6.5l-11 11" />,
  plus: <path d="M12 5v14M5 12h14" />,
  minus: <path d="M5 12h14" />,
  arrow: <path d="M5 12h14M13 6l6 6-6 6" />,
  left: <path d="M15 5l-7 7 7 7" />,
  right: <path d="M9 5l7 7-7 7" />,
  down: <path d="M6 9l6 6 6-6" />,
  up: <path d="M6 15l6-6 6 6" />,
  clock: <path d="M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2" />,
  eye: <path d="M2 12s4-6 10-6 10 6 10 6-4 6-10 6S2 12 2 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z" />,
  eyeOff: <path d="M2 12s4-6 10-6 10 6 10 6-4 6-10 6S2 12 2 12zM4 4l16 16" />,
  flag: <path d="M6 21V4h12l-3 4 3 4H6" />,
  table: <path d="M4 5h16v14H4zM4 10h16M10 5v14" />,
  download: <path d="M12 4v11M7 10l5 5 5-5M5 20h14" />,
  link: <path d="M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1" />,
  theme: <path d="M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16" />,
  out: <path d="M10 4H5v16h5M14 8l4 4-4 4M18 12H9" />,
  help: <path d="M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5M12 22a10 10 0 1 0 0-20 10 10 0 0 0 0 20z" />,
  filter: <path d="M4 5h16l-6 7v6l-4 2v-8z" />,
  play: <path d="M8 5l11 7-11 7z" />,
  pause: <path d="M8 5v14M16 5v14" />,
  toStart: <path d="M6 5v14M19 5L9 12l10 7z" />,
  globe: <path d="M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c5 5 5 13 0 18M12 3c-5 5-5 13 0 18" />,
  key: <path d="M8 16a4 4 0 1 1 3.5-6H21v4h-2v3h-4v-3h-3.5A4 4 0 0 1 8 16zM8 12h.5" />,
  folder: <path d="M3 6h7l2 2h9v11H3z" />,
  alarm: <path d="M12 4L22 20H2zM12 10v5M12 17v.5" />,
  wrench: <path d="M20 7a5 5 0 0 1-6.5 6L7 19.5 4.5 17l6.5-6.5A5 5 0 0 1 17 4l-3 3 3 3z" />,
  sound: <path d="M4 9v6h4l5 4V5L8 9zM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11" />,
  soundOff: <path d="M4 9v6h4l5 4V5L8 9zM17 10l4 4M21 10l-4 4" />,
  line: <path d="M3 18h18M5 18v-6h4v6M10 18V8h4v10M15 18v-8h4v8M3 21h18" />,
  oee: <path d="M4 4v16h16M7 20v-5h3v5M12 20V9h3v11M17 20v-8h3v8M7 11l5-5 3 2 5-5" />,
  control: <path d="M4 7h9M17 7h3M15 5v4M4 12h3M11 12h9M9 10v4M4 17h11M19 17h1M17 15v4" />,
  lock: <path d="M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 15v2" />,
  hand: <path d="M8 13V6.5a1.5 1.5 0 0 1 3 0V11V4.5a1.5 1.5 0 0 1 3 0V11V6a1.5 1.5 0 0 1 3 0v8c0 4-2 7-5.5 7S7 19.5 5 15.5c-.6-1.3.8-2.4 2-1.3z" />,
  keypad: <path d="M6 5h2M11 5h2M16 5h2M6 10h2M11 10h2M16 10h2M6 15h2M11 15h2M16 15h2M11 20h2" />,
}

export type IconName =
  | 'overview' | 'screens' | 'assets' | 'tags' | 'trends' | 'connections' | 'system' | 'more' | 'search' | 'user' | 'close' | 'check' | 'cross'
  | 'plus' | 'minus' | 'arrow' | 'left' | 'right' | 'down' | 'up' | 'clock' | 'eye' | 'eyeOff' | 'flag' | 'table'
  | 'download' | 'link' | 'theme' | 'out' | 'help' | 'filter' | 'play' | 'pause' | 'toStart' | 'globe' | 'folder' | 'key'
  | 'alarm' | 'wrench' | 'sound' | 'soundOff'
  | 'line' | 'oee' | 'control' | 'lock' | 'hand' | 'keypad'

export function Icon({ name, size = 18, className = '' }: { name: IconName; size?: number; className?: string }) {
  return (
    <svg
      className={`icon ${className}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={size < 18 ? 2 : 1.6}
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {shapes[name]}
    </svg>
  )
}

/** The land bridge. */
export function Logo() {
  return (
    <svg width="26" height="26" viewBox="0 0 24 24" aria-hidden="true" className="logo">
      <path d="M2 4h20v5h-6.5v6H22v5H2v-5h6.5V9H2z" fill="currentColor" />
    </svg>
  )
}
