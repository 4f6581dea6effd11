import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import '@fontsource-variable/inter/wght.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/parts.css'
import { whenSignedOut } from './api/client'
import { modelChanged, queryClient } from './api/queries'
import { live } from './live/client'
import { router } from './router'

whenSignedOut(() => {
  live.stop()
  queryClient.setQueryData(['session'], undefined)
  void queryClient.invalidateQueries({ queryKey: ['session'] })
})
live.onModel = modelChanged

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
