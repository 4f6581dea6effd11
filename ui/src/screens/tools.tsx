import type { ReactNode } from 'react'

/* Icons of the drawing tool on a grid of 20; apart from the others, so that nobody else loads them. */
const SHAPES = {
  undo: <path d="M4 8h8a4 4 0 0 1 0 8H8M4 8l4-4M4 8l4 4" />,
  redo: <path d="M16 8H8a4 4 0 0 0 0 8h4M16 8l-4-4M16 8l-4 4" />,
  select: <path d="M5 3l10 7-5 1-2 5z" />,
  pipe: <path d="M2 15h7V5h9" />,
  left: <path d="M3 2v16M6 5h11v3H6zM6 12h7v3H6z" />,
  centre: <path d="M10 2v16M4 5h12v3H4zM6 12h8v3H6z" />,
  right: <path d="M17 2v16M3 5h11v3H3zM7 12h7v3H7z" />,
  top: <path d="M2 3h16M5 6h3v11H5zM12 6h3v7h-3z" />,
  middle: <path d="M2 10h16M5 4h3v12H5zM12 6h3v8h-3z" />,
  bottom: <path d="M2 17h16M5 3h3v11H5zM12 7h3v7h-3z" />,
  spreadX: <path d="M3 2v16M17 2v16M8 6h4v8H8z" />,
  spreadY: <path d="M2 3h16M2 17h16M6 8h8v4H6z" />,
  group: <path d="M3 3h14v14H3zM6 6h5v5H6zM9 9h5v5H9z" />,
  ungroup: <path d="M3 3h8v8H3zM9 9h8v8H9z" />,
  copy: <path d="M3 3h9v9H3zM8 12v5h9V8h-5" />,
  lock: <path d="M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3" />,
  front: <path d="M3 9h8v8H3zM7 5h10v10h-4M10 1v3M8 3l2-2 2 2" />,
  back: <path d="M9 3h8v8H9zM5 7H3v10h10v-4M10 19v-3" />,
  trash: <path d="M4 6h12M8 6V3h4v3M6 6l1 11h6l1-11" />,
  connect: <path d="M2 3h5v5H2zM13 12h5v5h-5zM7 5.5h3.5v9H13" />,
  snap: <path d="M4 3h3v7a3 3 0 0 0 6 0V3h3v7a6 6 0 0 1-12 0zM4 6h3M13 6h3" />,
} satisfies Record<string, ReactNode>
export type ToolName = keyof typeof SHAPES

interface Props {
  icon: ToolName
  label: string
  keys?: string
  on?: boolean
  off?: boolean
  onPress: () => void
}

/** A tool's button; its key stands in the tooltip. */
export function Tool({ icon, label, keys, on, off = false, onPress }: Props) {
  return (
    <button type="button" className="button quiet bare ed-tool" aria-label={label} title={keys ? `${label} (${keys})` : label} disabled={off} {...(on === undefined ? {} : { 'aria-pressed': on })} onClick={onPress}>
      <svg className="icon" width="18" height="18" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinejoin="round" aria-hidden="true">
        {SHAPES[icon]}
      </svg>
    </button>
  )
}
