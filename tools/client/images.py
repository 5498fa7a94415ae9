"""Commands for images and the sessions on them."""

from __future__ import annotations

from protocol.replies import (
    ImageCleanup,
    ImageContextSwitched,
    Images,
    ImageSessions,
    ImageSessionStats,
    ImageStatus,
    SwitchedSession,
    Trash,
    TrashedSession,
)
from tools.client.asking import Asking


class ImageCommands(Asking):
    """Images, how they are, and which sessions use them."""

    def list_images(self) -> list[ImageStatus]:
        """List the images and how they are."""
        return self.ask("list_images", Images).images

    def connect_image(self, address: str, *, name: str | None = None) -> ImageStatus:
        """Add an image."""
        return self.ask("connect_image", ImageStatus, address=address, name=name)

    def disconnect_image(self, image_id: str) -> ImageStatus:
        """Remove an image, by its id or name."""
        return self.ask("disconnect_image", ImageStatus, image_id=image_id)

    def get_image_connection_status(self, image_id: str) -> ImageStatus:
        """Ask how an image is, by its id or name."""
        return self.ask("get_image_connection_status", ImageStatus, image_id=image_id)

    # --- their sessions

    def list_image_sessions(
        self, image_id: str | None = None, *, include_orphaned: bool | None = None
    ) -> ImageSessions:
        """List the sessions on an image, or on all."""
        return self.ask(
            "list_image_sessions",
            ImageSessions,
            image_id=image_id,
            include_orphaned=include_orphaned,
        )

    def get_image_session_stats(self, image_id: str) -> ImageSessionStats:
        """Count the sessions on an image."""
        return self.ask("get_image_session_stats", ImageSessionStats, image_id=image_id)

    def cleanup_image_sessions(
        self,
        image_id: str,
        *,
        cleanup_orphaned: bool | None = None,
        cleanup_expired: bool | None = None,
        max_age_hours: float | None = None,
        preserve_active: bool = True,
        force: bool = False,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> ImageCleanup:
        """Put sessions that nobody needs into the trash; with DRY_RUN only say which."""
        return self.ask(
            "cleanup_image_sessions",
            ImageCleanup,
            request_id=request_id,
            image_id=image_id,
            cleanup_orphaned=cleanup_orphaned,
            cleanup_expired=cleanup_expired,
            max_age_hours=max_age_hours,
            preserve_active=preserve_active,
            force=force,
            dry_run=dry_run,
        )

    def list_trash(
        self, *, client_id: str | None = None, image_id: str | None = None
    ) -> list[TrashedSession]:
        """List the sessions in the trash; `restore_session` takes one out."""
        return self.ask("list_trash", Trash, client_id=client_id, image_id=image_id).sessions

    def switch_image_context(
        self,
        to_image_id: str,
        *,
        session_id: str | None = None,
        from_image_id: str | None = None,
        preserve_context: bool = True,
        request_id: str | None = None,
    ) -> list[SwitchedSession]:
        """Move a session to another image, or all that this connection has on FROM_IMAGE_ID."""
        return self.ask(
            "switch_image_context",
            ImageContextSwitched,
            request_id=request_id,
            to_image_id=to_image_id,
            from_image_id=from_image_id,
            preserve_context=preserve_context,
            session_id=session_id,
        ).sessions
