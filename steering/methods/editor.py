"""The one editor of hidden states, from which every representation method is made.

    h' = h + R (W h + b - R^T h)        R: D x r with R^T R = I;  W: r x D;  b: r

MoReS (Eq. 3-5), MRT and LoReFT all print this edit; MoReS writes W_up = R and W_down = R^T, which are tied. It
replaces the component of h along R by W h + b. R is the thin QR factor of a D x r matrix, so that it costs
O(D r) memory and O(D r^2) time; the authors' code keeps and factorises D x D. Linear(h) - R^T h is one product
with (W - R^T). Everything is computed in float32.

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

    def __init__(self, hidden: int, rank: int, *, dropout: float = 0.0, identity_start: bool = False):
        super().__init__()
        self.basis = nn.Parameter(torch.empty(hidden, rank, dtype=torch.float32))  # R before it is made orthonormal
        self.weight = nn.Parameter(torch.empty(rank, hidden, dtype=torch.float32))
        self.bias = nn.Parameter(torch.empty(rank, dtype=torch.float32))
        self.dropout = nn.Dropout(dropout)
        self.reset(identity_start=identity_start)

    @torch.no_grad()
    def reset(self, *, identity_start: bool) -> None:
        """R random orthonormal, W and b as nn.Linear starts them; with identity_start W = R^T and b = 0."""
        self.basis.copy_(orthonormal(torch.randn_like(self.basis)))
        bound = self.basis.shape[0] ** -0.5
        self.weight.uniform_(-bound, bound)
        self.bias.uniform_(-bound, bound)
        if identity_start:
            self.weight.copy_(self.rotation().T)
            self.bias.zero_()

    def rotation(self) -> Tensor:
        """R: (d, r), orthonormal columns, float32."""
        return orthonormal(self.basis.float())

    def forward(self, states: Tensor) -> Tensor:
        """The edited *states* (n, d), in their own dtype."""
        with torch.autocast(states.device.type, enabled=False):
            exact, rotation = states.float(), self.rotation()
            low = functional.linear(exact, self.weight.float() - rotation.T, self.bias.float())  # (n, r)
            return (exact + self.dropout(low @ rotation.T)).to(states.dtype)
