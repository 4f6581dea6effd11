import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { isLine, type TreeNode } from '../model/tree'

/** One level down: to the line's own page, or to the asset. */
export function UnitLink({ node, className, children }: { node: TreeNode; className?: string; children: ReactNode }) {
  const shared = { params: { _splat: node.asset.path }, className, title: node.asset.description }
  return isLine(node) ? (
    <Link to="/line/$" {...shared}>
      {children}
    </Link>
  ) : (
    <Link to="/asset/$" {...shared}>
      {children}
    </Link>
  )
}
