"""The one editor of hidden states, from which every representation method is made.

    h' = h + R (W h + b - R^T h)                R: D x r with R^T R = I;  W: r x D;  b: r      r (2 D + 1) parameters
    h' = h + W_up (W h + b - W_down h)          untied: W_up: D x r, W_down: r x D             r (3 D + 1) parameters

MoReS (Eq. 3-5), MRT and LoReFT all print this edit. MoReS writes W_up and W_down and ties them, W_up = R and
W_down = R^T; the constraint it prints, W_down W_up^T = I_D, cannot hold for r < D: what holds is W_down W_up = I_r.
Untied, both start at that R and then train freely, with nothing to keep them orthonormal. Tied, the edit replaces
the component of h along R by W h + b.

R is the thin QR factor of a D x r matrix, so that it costs O(D r) memory and O(D r^2) time; the authors' code keeps
and factorises D x D. Linear(h) - R^T h is one product with (W - R^T). Everything is computed in float32, and dropout
falls on the edit alone, where the authors' falls on the whole hidden state.

Shapes: n edited positions, d hidden size, r rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def orthonormal(basis: Tensor) -> Tensor:
    """The Q of basis = Q U with a positive diagonal in U: (d, r) with orthonormal columns, smooth in *basis*.

    Unique for a basis of full rank, so an orthonormal basis is its own Q.
    """
    if basis.shape[1] == 1:
        return basis / basis.norm()
    factor, upper = torch.linalg.qr(basis)  # (d, r), (r, r)
    signs = torch.where(upper.diagonal() < 0, -1.0, 1.0)
    return factor * signs


class Editor(nn.Module):
    """A rank-r edit of hidden states of size *hidden*; starts near the identity, or at it with identity_start."""

    def __init__(
        self, hidden: int, rank: int, *, tied: bool = True, dropout: float = 0.0, identity_start: bool = False
    ):
        super().__init__()
        self.tied = tied
        if tied:
            self.basis = nn.Parameter(torch.empty(hidden, rank, dtype=torch.float32))  # R before it is orthonormal
        else:
            self.up = nn.Parameter(torch.empty(hidden, rank, dtype=torch.float32))
            self.down = nn.Parameter(torch.empty(rank, hidden, dtype=torch.float32))
        self.weight = nn.Parameter(torch.empty(rank, hidden, dtype=torch.float32))
        self.bias = nn.Parameter(torch.empty(rank, dtype=torch.float32))
        self.dropout = nn.Dropout(dropout)
        self.strength = 1.0  # steering.methods.strength sets it
        self.reset(identity_start=identity_start)

    @torch.no_grad()
    def reset(self, *, identity_start: bool) -> None:
        """R random orthonormal, W and b as nn.Linear starts them; with identity_start W = R^T and b = 0.

        Equal random numbers give a tied and an untied editor the same start.
        """
        rank, hidden = self.weight.shape
        self._start(orthonormal(torch.randn(hidden, rank, dtype=torch.float32, device=self.weight.device)))
        bound = hidden**-0.5
        self.weight.uniform_(-bound, bound)
        self.bias.uniform_(-bound, bound)
        if identity_start:
            self.weight.copy_(self.projections()[1])
            self.bias.zero_()

    def _start(self, basis: Tensor) -> None:
        if self.tied:
            self.basis.copy_(basis)
        else:
            self.up.copy_(orthonormal(basis))  # as projections() of a tied editor gives it, to the last bit
            self.down.copy_(self.up.T)

    def rotation(self) -> Tensor:
        """R of a tied editor: (d, r), orthonormal columns, float32."""
        return orthonormal(self.basis.float())

    def projections(self) -> tuple[Tensor, Tensor]:
        """W_up (d, r) and W_down (r, d), float32."""
        if self.tied:
            rotation = self.rotation()
            return rotation, rotation.T
        return self.up.float(), self.down.float()

    def forward(self, states: Tensor) -> Tensor:
        """The edited *states* (n, d), in their own dtype."""
        with torch.autocast(states.device.type, enabled=False):
            exact, (up, down) = states.float(), self.projections()
            low = functional.linear(exact, self.weight.float() - down, self.bias.float())  # (n, r)
            edit = self.dropout(low @ up.T)  # (n, d)
            return (exact + (edit if self.strength == 1 else self.strength * edit)).to(states.dtype)
