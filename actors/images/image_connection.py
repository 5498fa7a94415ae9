"""The connection to one image: its socket, its health, and who answers.

A connection is for one image: where another one answers at the address, it says so to its directory
and goes on looking for its own. docs/image-protocol.md says what images answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import structlog
import zmq

from actors.address import Ref, post
from actors.directory.name_lookup import LookedUp, NameLookup, has_name
from actors.images.image_asking import Asking, OutputIsDue
from actors.images.image_calls import read_message
from actors.images.image_endings import Deadline
from actors.images.image_health import Health, Moment
from actors.images.image_identity import Expected, LegacyLife, Peer
from actors.images.image_link import SILENCE, ImageLink, is_hopeless
from actors.images.image_pings import Pings
from actors.images.image_reports import AlsoAt, AnotherImage, ImageReport, LetGo
from actors.images.image_results import outcome_of
from actors.messages import ImageCall, RenewConnection
from actors.services import Services
from actors.socket_loop import Arrived, Frames, SocketActor
from actors.timer import Delivery
from protocol.errors import ImageFailed
from protocol.image_messages import ImageEvent, ImagePing, ImageReply
from protocol.replies import ConnectionStatus
from storage.failpoints import hit

log = structlog.get_logger(__name__)

_RETRY_FIRST: Final = 0.1
_RETRY_MOST: Final = 2.0
_RETRY_MOST_UNHEARD: Final = 30.0
"""Where nothing is heard of the address: libzmq resolves names in the thread that all share."""
_STANDS_WITHIN: Final = 3.0
"""Seconds after which a link is given up that neither stands nor was refused."""
_SILENCE_MOST: Final = 30.0
"""A link that was lost by silence while an answer was waited for may be silent for twice as long
the next time, up to this: over a slow network a long answer takes its time, and as long as it is
under way nothing else is heard. 300 KB come through at 10 KB/s."""


@dataclass(frozen=True, slots=True)
class _Connect:
    pass


@dataclass(frozen=True, slots=True)
class _StandsByNow:
    """Time to look whether this link has come about."""

    link: ImageLink | NameLookup


@dataclass(frozen=True, slots=True)
class _Tick:
    pass


class ImageConnection(SocketActor):
    """Owns the DEALER to one image; every call it takes is answered exactly once.

    `health` goes on from what an earlier connection to the image knew.
    """

    kind = "image"

    def __init__(
        self,
        parent: Ref,
        services: Services,
        addresses: tuple[str, ...],
        expected: Expected,
        health: Health,
    ) -> None:
        super().__init__(parent)
        self._services, self._clocks = services, services.clocks
        self._addresses, self.address = addresses, addresses[0]
        self._expected, self._health = expected, health
        self._reported: ImageReport | None = None
        self._heard_at, self._asked_at = health.last_seen, health.last_activity
        self._link: ImageLink | None = None
        self._lookup: NameLookup | None = None
        self._link_has_ponged = False
        self._peer: Peer | None = None
        self._pings = Pings()
        self._asking = Asking(self)
        self._retry = _RETRY_FIRST
        self._silence, self._heard_last = SILENCE, 0.0

    def begin(self) -> None:
        """Connect, and look around regularly."""
        self._connect()
        self.later(self._services.settings.current.image_ping_interval, _Tick())

    def end(self) -> None:
        """Answer what can be answered, and let the image go."""
        self._asking.end()
        self._drop_link()

    def abandon(self) -> None:
        """Release the sockets; the directory tells those who wait."""
        self._drop_link()

    def handle(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case Arrived(socket, frames):
                self._arrived(socket, frames)
            case ImageCall():
                if self._asking.take(message, self._outcome_grace):
                    self._asked_at = self._clocks.wall()
            case Deadline():
                self._asking.overdue(message)
            case OutputIsDue():
                self._asking.pass_output_on(message)
            case RenewConnection(connection):
                self._asking.renew(connection)
            case _Connect() if self._link is None and self._lookup is None:
                self._connect()
            case LookedUp(lookup) if lookup is self._lookup:
                self._looked_up(message)
            case _StandsByNow(lookup) if lookup is self._lookup:
                self._down("the host's name is not found in time", most=_RETRY_MOST_UNHEARD)
            case _StandsByNow(link) if link is self._link and not link.stands:
                self._down("nothing is heard of the address", most=_RETRY_MOST_UNHEARD)
            case _Tick():
                self._tick()
            case AlsoAt(address) if address not in self._addresses:
                self._addresses = (*self._addresses, address)
            case LetGo():
                self._asking.forget()

    # --- what those who see to the calls need: actors.images.image_line.Line

    @property
    def peer(self) -> Peer | None:
        """Who answered last."""
        return self._peer

    @property
    def status(self) -> ConnectionStatus:
        """How the connection is."""
        return self._health.status

    @property
    def is_pinged(self) -> bool:
        """Whether a ping is not answered yet."""
        return bool(self._pings)

    def send(self, call_id: str, command: str, parameters: Mapping[str, Any]) -> bool:
        """Send a request; whether it went out over a standing connection."""
        message = {"id": call_id, "command": command, "parameters": parameters}
        return self._link is not None and self._link.send(message)

    def send_ping(self) -> None:
        """Ask the image who it is."""
        ping_id = self._asking.new_id()
        if self.send(ping_id, "ping", {}):
            self._pings.add(ping_id, self.now())

    def later(self, seconds: float, message: object) -> Delivery:
        """Be told a message in some seconds, unless it is cancelled."""
        return self._services.timer.tell(seconds, self.actor_ref, message)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clocks.monotonic()

    def tell(self, call: ImageCall, message: object) -> None:
        """Tell something to whoever has asked for a call."""
        if isinstance(call.reply_to, type(self.actor_ref)):
            post(call.reply_to, message)
        else:
            call.reply_to.tell(message)

    # --- the connection's life

    @property
    def _outcome_grace(self) -> float:
        return self._services.settings.current.image_outcome_grace

    def _moment(self) -> Moment:
        return Moment.now(self._clocks)

    def _arrived(self, socket: Any, frames: Frames) -> None:
        link = self._link
        if link is not None and socket is link.socket:
            self._received(frames[-1])
        elif link is not None and socket is link.monitor:
            stood = link.stands
            if link.tells_up(frames):
                self._heard_last = self.now()
                self.send_ping()
            else:
                slow = stood and self._is_more_patience_due()
                if slow:
                    self._silence = min(self._silence * 2, _SILENCE_MOST)
                why = "the connection was lost" if stood else "nobody answers at the address"
                self._down(why, slow=slow)

    def _connect(self) -> None:
        if has_name(self.address):
            self._lookup = NameLookup(self.address, partial(post, self.actor_ref))
            self.later(_STANDS_WITHIN, _StandsByNow(self._lookup))
        else:
            self._connect_to(self.address)

    def _looked_up(self, found: LookedUp) -> None:
        self._lookup = None
        if found.problem:
            self._down(found.problem, most=_RETRY_MOST_UNHEARD)
        else:
            self._connect_to(found.address)

    def _connect_to(self, address: str) -> None:
        self._link_has_ponged = False
        hit("image.connect.before")
        try:
            self._link = ImageLink(self._services.context, self.actor_inbox, address, self._silence)
        except zmq.ZMQError as error:
            why = f"cannot connect to {self.address}: {error}"
            if is_hopeless(error):
                self._becomes(self._health.failed(self._moment(), why))
            else:
                self._down(why)
        else:
            hit("image.connect.after")
            self.later(_STANDS_WITHIN, _StandsByNow(self._link))

    def _is_more_patience_due(self) -> bool:
        """Whether a link that was lost may have been lost because an answer took its time."""
        was_silent = self.now() - self._heard_last >= self._silence
        return was_silent and self._asking.is_waited_for and self._silence < _SILENCE_MOST

    def _drop_link(self) -> None:
        self._lookup = None
        if self._link is not None:
            self._link.close()
            self._link = None
        self._pings.clear()

    def _down(self, why: str, most: float = _RETRY_MOST, *, slow: bool = False) -> None:
        """The image is not there: what was asked is lost, or asked for when it returns.

        SLOW is whether the next link will have more patience, so that it may do better.
        """
        self._drop_link()
        self.later(self._retry, _Connect())
        self._retry = min(self._retry * 2, most)
        self._addresses = (*self._addresses[1:], self._addresses[0])
        if self._health.status == "Connected":
            log.warning("image_lost", address=self.address, reason=why)
        self._becomes(self._health.lost(self._moment(), why))
        self.address = self._addresses[0]
        self._asking.went_away(self._outcome_grace, slow=slow)

    def _tick(self) -> None:
        settings = self._services.settings.current
        if self._link is not None and self._link.stands:
            self._see_to_pings(settings.image_ping_interval)
        if self._health.status == "Connected":
            self._asking.close_transients(settings.connection_lease)
        self._health = self._health.waited(self._moment())
        self._report()
        self.later(settings.image_ping_interval, _Tick())

    def _see_to_pings(self, interval: float) -> None:
        now = self.now()
        if not self._pings:
            if self._asking.is_taken:
                self._asking.ping_first()
            else:
                self.send_ping()
            return
        if self._pings.waited(now) > interval:
            self._health = self._health.missed_one()
        if self._peer is None or self._peer.is_legacy:  # a second request might be one too many
            # One that is connected has answered over this link, which stands: somebody else has it.
            if self._health.status != "Connected" and self._pings.is_hopeless(now, interval):
                self._down(f"it did not answer a ping for {self._pings.waited(now):.0f} s")
        elif self._pings.is_due(now, interval):
            self.send_ping()

    # --- what the image says

    def _received(self, body: bytes) -> None:
        self._heard_last = self.now()
        try:
            message = read_message(body)
        except ImageFailed as error:
            self._nonsense(error)
            return
        self._heard_at = self._clocks.wall()
        if isinstance(message, ImageEvent):
            self._asking.printed(message)
            return
        ping_sent_at = self._pings.take(message.id)
        if ping_sent_at is not None:
            self._ponged(message, ping_sent_at)
        else:
            self._silence = SILENCE
            self._asking.replied(message, self._outcome_grace)

    def _nonsense(self, error: ImageFailed) -> None:
        log.warning("image_failed", address=self.address, reason=error.message)
        why = "what it answers is not the image protocol"
        if self._peer is None:
            self._becomes(self._health.failed(self._moment(), why))
        elif self._pings:
            self._becomes(self._health.garbled_one(self._moment(), why))
        self._pings.clear()
        if self._health.status == "Failed":
            self._refuse_unsent()
        if self._link_has_ponged:  # before, whoever it is has been asked nothing of what waits
            self._asking.nonsense(error)

    def _ponged(self, reply: ImageReply, sent_at: float) -> None:
        ping = outcome_of("ping", reply)
        if not isinstance(ping, ImagePing):
            if self._health.status != "Failed":
                log.warning("image_failed", address=self.address, reason=ping.message)
            why = "what answers to ping is no image"
            self._becomes(self._health.failed(self._moment(), why))
            self._refuse_unsent()
        elif not self._expected.is_met_by(ping):
            self._is_another(ping)
        else:
            self._identified(ping, self.now() - sent_at)
            self._asking.next_turn()

    def _refuse_unsent(self) -> None:
        self._asking.refuse_unsent("The image does not answer as one any more; nothing sent.")

    def _is_another(self, ping: ImagePing) -> None:
        """Not the image that this connection is for: it gets nothing that is meant for that one."""
        who = ping.image.uuid if ping.image else "a legacy image"
        post(self._parent, AnotherImage(self.actor_ref, self.address, Peer(ping)))
        why = f"another image answers at its address: {who}"
        self._becomes(self._health.gone(self._moment(), why))
        self._down(why)

    def _identified(self, ping: ImagePing, latency: float) -> None:
        """The image has said who it is: for the first time, again, or anew."""
        before, moment = self._peer, self._moment()
        life = None if ping.image else self._life(ping, moment)
        self._peer = peer = Peer(ping, life)
        self._link_has_ponged = True
        self._retry = _RETRY_FIRST
        self._expected = Expected(peer.uuid, life)  # whatever answers here later
        was_up = self._health.status == "Connected"
        is_anew = before is not None and before.epoch != peer.epoch
        why = "the image answers"
        if is_anew:
            why = "the image was started anew" + (", its uptime tells" if peer.is_legacy else "")
            log.warning("image_restarted", address=self.address, image=peer.uuid)
            self._asking.refuse_unsent("The image was started anew; nothing was sent.")
        self._health = self._health.answered(moment, latency, why)
        if was_up and is_anew:
            self._health = self._health.restarted(moment, why)
        if is_anew or not was_up:
            log.info("image_connected", address=self.address, image=peer.uuid)
            self._asking.found_again()
        self._report()

    def _life(self, ping: ImagePing, moment: Moment) -> LegacyLife:
        """The life of a legacy image: the one that is known, or another."""
        known = self._expected.life
        life = known and known.goes_on(ping.uptime, moment, over_new_link=not self._link_has_ponged)
        return life or LegacyLife.seen(ping.uptime, moment)

    # --- reports

    def _becomes(self, health: Health) -> None:
        changed = health.status != self._health.status
        self._health = health
        if changed:
            self._report()

    def _report(self) -> None:
        """Tell the directory what is new."""
        self._health = replace(self._health, last_seen=self._heard_at, last_activity=self._asked_at)
        report = ImageReport(self.actor_ref, self.address, self._peer, self._health)
        if report != self._reported:
            self._reported = report
            post(self._parent, report)
