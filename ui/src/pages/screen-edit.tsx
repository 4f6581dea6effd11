import { Link, useParams } from '@tanstack/react-router'
import { useSession } from '../api/queries'
import { Empty, Loading, Trouble } from '../components/ui'
import { t } from '../i18n'
import { useScreen } from '../screens/api'
import { Editor } from '../screens/editor'

/** The drawing tool at its own address. */
export function ScreenEditPage() {
  const { id } = useParams({ from: '/screens/$id/edit' })
  const screen = useScreen(id, 0)
  const session = useSession()
  if (screen.error && !screen.data) return <Trouble error={screen.error} retry={() => void screen.refetch()} />
  if (!screen.data || !session.data) return <Loading what={t('the screen')} />
  if (!screen.data.may.includes('save')) {
    return (
      <Empty title={t('You may not draw here')} action={<Link to="/screens/$id" params={{ id }} className="button">{t('Look at the screen')}</Link>}>
        {t('Your role does not include it. Ask an administrator of this site.')}
      </Empty>
    )
  }
  return <Editor key={id} screen={screen.data} user={session.data.user.name} />
}
